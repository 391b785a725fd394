-- A database with everything that a restore must bring back.
CREATE EXTENSION pg_trgm;
COMMENT ON EXTENSION pg_trgm IS 'for searching';
CREATE EXTENSION hstore SCHEMA public;

CREATE SCHEMA "sales Dept" AUTHORIZATION pitr_owner;
COMMENT ON SCHEMA "sales Dept" IS 'a name with a space';

CREATE TYPE public.state AS ENUM ('open', 'paid', 'sent');
CREATE DOMAIN public.percent AS numeric(5, 2) CHECK (VALUE >= 0 AND VALUE <= 100);
CREATE TYPE public.place AS (street text, city text);
CREATE TYPE public.span AS RANGE (subtype = int4);
CREATE COLLATION public.posix (provider = libc, locale = 'C');

CREATE FUNCTION public.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT n * 2 $$;
CREATE PROCEDURE public.nothing() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE AGGREGATE public.product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);

CREATE TABLE public.customers (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name varchar(80) COLLATE public.posix NOT NULL,
  kind varchar(10) NOT NULL DEFAULT 'new' CHECK (kind IN ('new', 'good', 'bad')),
  home public.place,
  discount public.percent DEFAULT 0,
  tags hstore,
  twice int GENERATED ALWAYS AS (public.twice(id)) STORED,
  UNIQUE (name)
);
COMMENT ON TABLE public.customers IS E'who buys\nhere';
COMMENT ON COLUMN public.customers.kind IS 'new, good or bad';
INSERT INTO public.customers (name, kind, home, discount, tags)
  VALUES ('Ada', 'good', ROW('High St', 'London'), 12.5, 'a=>1, b=>NULL'), (E'Tab\there\nand \\N', 'new', NULL, NULL, ''), ('Zoë 🙂', 'bad', NULL, 0, NULL);

CREATE TABLE public.orders (
  id bigserial PRIMARY KEY,
  customer int NOT NULL REFERENCES public.customers DEFERRABLE INITIALLY DEFERRED,
  parent bigint REFERENCES public.orders,
  state public.state NOT NULL DEFAULT 'open',
  during public.span,
  total numeric(12, 2),
  made timestamptz NOT NULL DEFAULT now(),
  notes text,
  doc jsonb,
  raw bytea,
  days interval,
  f8 float8,
  addr inet,
  geo point,
  list int[],
  x xml,
  EXCLUDE USING gist (during WITH &&)
);
INSERT INTO public.orders (customer, parent, state, during, total, made, notes, doc, raw, days, f8, addr, geo, list, x)
  SELECT 1 + i % 3, NULLIF(i - 1, 0), (ARRAY['open', 'paid', 'sent']::public.state[])[1 + i % 3], int4range(i * 10, i * 10 + 5)::text::public.span,
    i * 1.25, '2026-03-29 00:30:00+00'::timestamptz + i * interval '20 min', repeat('n', i % 50), jsonb_build_object('i', i),
    decode(md5(i::text), 'hex'), i * interval '1 day 2 hours', 1.0 / i, '10.0.0.1'::inet + i, point(i, -i), ARRAY[i, NULL], '<a/>'
  FROM generate_series(1, 400) i;
SELECT setval('public.orders_id_seq', 1000, false);
CREATE INDEX orders_notes ON public.orders USING gin (notes gin_trgm_ops);
CREATE INDEX orders_open ON public.orders (customer) WHERE state = 'open';
CREATE STATISTICS public.order_stats ON customer, state FROM public.orders;
CLUSTER public.orders USING orders_pkey;
ALTER TABLE public.orders ALTER COLUMN notes SET STORAGE EXTERNAL;

CREATE TABLE public.events (at date NOT NULL, what text, n int) PARTITION BY RANGE (at);
CREATE TABLE public.events_2025 PARTITION OF public.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE public.events_2026 PARTITION OF public.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (n);
CREATE TABLE public.events_2026_odd PARTITION OF public.events_2026 FOR VALUES IN (1, 3, 5);
CREATE TABLE public.events_rest PARTITION OF public.events DEFAULT;
CREATE INDEX ON public.events (at);
INSERT INTO public.events SELECT '2025-06-01'::date + i, 'event ' || i, 1 FROM generate_series(1, 300) i WHERE i < 200 OR i > 220;
INSERT INTO public.events VALUES ('1999-01-01', 'old', 2), ('1999-01-01', 'old', 2);

CREATE TABLE public.base (a int, b text);
CREATE TABLE public.derived (c int) INHERITS (public.base);
INSERT INTO public.base VALUES (1, 'base');
INSERT INTO public.derived VALUES (2, 'derived', 3);
CREATE UNLOGGED TABLE public.cache (k text PRIMARY KEY, v text);
INSERT INTO public.cache VALUES ('k', 'v');
CREATE TABLE public.empty ();
INSERT INTO public.empty DEFAULT VALUES;
CREATE TABLE public."odd ""name" ("a.b" int, "C" text, dropped int);
ALTER TABLE public."odd ""name" DROP COLUMN dropped;
INSERT INTO public."odd ""name" VALUES (1, ''), (NULL, NULL), (1, '');

CREATE VIEW public.open_orders WITH (security_barrier) AS SELECT id, customer, total FROM public.orders WHERE state = 'open' WITH CHECK OPTION;
CREATE RULE quiet AS ON DELETE TO public.open_orders DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW public.totals AS SELECT customer, sum(total) AS sum FROM public.orders GROUP BY customer;
CREATE UNIQUE INDEX ON public.totals (customer);
CREATE MATERIALIZED VIEW public.unfilled AS SELECT 1 AS one WITH NO DATA;

CREATE FUNCTION public.touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.notes := NEW.notes || '!'; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.touched();
ALTER TABLE public.orders DISABLE TRIGGER touch;
ALTER TABLE public.orders ENABLE TRIGGER touch;
CREATE FUNCTION public.noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no tables here' USING HINT = current_user; END $$;
CREATE EVENT TRIGGER no_tables ON ddl_command_start WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION public.noted();

ALTER TABLE public.customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.customers FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON public.customers USING (name = current_user) WITH CHECK (true);

CREATE TABLE "sales Dept".secret (id int PRIMARY KEY, note text);
ALTER TABLE "sales Dept".secret OWNER TO pitr_owner;
INSERT INTO "sales Dept".secret VALUES (1, 'x');
GRANT USAGE ON SCHEMA "sales Dept" TO pitr_reader;
GRANT SELECT ON "sales Dept".secret TO pitr_reader WITH GRANT OPTION;
GRANT SELECT (id), UPDATE (note) ON "sales Dept".secret TO PUBLIC;
REVOKE EXECUTE ON FUNCTION public.twice(int) FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE pitr_owner IN SCHEMA "sales Dept" GRANT SELECT ON TABLES TO pitr_reader;
CREATE SEQUENCE public.odd_numbers AS smallint INCREMENT 2 START 3 CYCLE;
SELECT nextval('public.odd_numbers');
CREATE PUBLICATION all_orders FOR TABLE public.orders WHERE (id > 0);
CREATE TEXT SEARCH CONFIGURATION public.simple_english (COPY = pg_catalog.english);

SELECT lo_from_bytea(4711, decode(repeat('00ff10', 20000), 'hex'));
COMMENT ON LARGE OBJECT 4711 IS E'it''s\nlarge';
ALTER LARGE OBJECT 4711 OWNER TO pitr_owner;
GRANT SELECT ON LARGE OBJECT 4711 TO pitr_reader;
SELECT lo_create(4712);

