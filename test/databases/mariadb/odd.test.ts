import { execFileSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { cleanEnvironment } from '../../support/environment.ts';
import { MariadbServer, mariadbMissing } from '../support/mariadbServer.ts';
import { mariadbPlace } from './support.ts';

let server: MariadbServer;

/** Nothing of what a server is set to may matter. */
const settings = [
  '--sql-mode=ANSI,NO_BACKSLASH_ESCAPES,TRADITIONAL',
  '--autocommit=0',
  '--default-time-zone=+05:30',
  '--innodb-default-row-format=compact',
  '--explicit-defaults-for-timestamp=0',
  '--default-storage-engine=MyISAM',
  '--character-set-server=latin1',
  '--collation-server=latin1_german1_ci',
  '--max-allowed-packet=1M',
  '--transaction-isolation=READ-COMMITTED',
];
const usual = `SET sql_mode = 'NO_ENGINE_SUBSTITUTION'; SET autocommit = 1; SET default_storage_engine = InnoDB;`;

beforeAll(async () => {
  if (mariadbMissing === undefined) server = await MariadbServer.start({ options: settings });
}, 120_000);

/** A database that is called so shows where its name is not quoted. */
const app = 'Shop v2.1 ü-100%_x';

/** What a database may hold that is written, sorted or quoted in ways of its own: name -> SQL that makes it. */
const odd: Readonly<Record<string, string>> = {
  'names that need quoting': `CREATE TABLE \`line
break\` (\`a
b\` int PRIMARY KEY, \`c\\\\d\` text); INSERT INTO \`line
break\` VALUES (1, 'x'); CREATE TABLE \`select\` (\`from\` int PRIMARY KEY, \`"\` int); INSERT INTO \`select\` VALUES (1, 2);
    CREATE TABLE \`a.b'c"d%e/f\` (x int PRIMARY KEY); CREATE TABLE \`Ünïcödé 表\` (\`ключ\` int PRIMARY KEY, \`'\` int); INSERT INTO \`Ünïcödé 表\` VALUES (1, 1);
    CREATE TABLE \`${'n'.repeat(64)}\` (\`${'c'.repeat(64)}\` int PRIMARY KEY); INSERT INTO \`${'n'.repeat(64)}\` VALUES (5);
    CREATE VIEW \`v
w\` AS SELECT * FROM \`line
break\`; CREATE TRIGGER \`t
r\` BEFORE INSERT ON \`line
break\` FOR EACH ROW SET @a = ';'; CREATE FUNCTION \`f
g\`() RETURNS int RETURN 1`,
  'keys of every type': `CREATE TABLE b (k varbinary(20) PRIMARY KEY, v int); INSERT INTO b VALUES ('', 1), (0x00, 2), (0xFF, 3), ('a', 4), ('A', 5);
    CREATE TABLE bits (k bit(9) PRIMARY KEY); INSERT INTO bits VALUES (0), (b'111111111');
    CREATE TABLE e (k enum('z','a','m') PRIMARY KEY); INSERT INTO e VALUES ('a'), ('z'), ('m'); CREATE TABLE s (k set('z','a') PRIMARY KEY); INSERT INTO s VALUES ('a'), ('z,a'), ('');
    CREATE TABLE d (k date, l datetime(3), m time(6), PRIMARY KEY (k, l, m)); SET sql_mode=''; INSERT INTO d VALUES ('0000-00-00', '0000-00-00', '-01:00:00.5'), ('2024-02-30', '2024-01-01', 0);
    CREATE TABLE fl (k double PRIMARY KEY, f float, d decimal(65,30)); INSERT INTO fl VALUES (0.1, 0.1, 1e-30), (-1e300, 3.4028235e38, 12345678901234567890123456789012345.123456789012345678901234567890), (1e-300, 1e-45, 0);
    CREATE TABLE pre (k text, PRIMARY KEY (k(5))); INSERT INTO pre VALUES ('abc'), (REPEAT('é', 9)); CREATE TABLE tr (k varchar(9) COLLATE utf8mb4_bin PRIMARY KEY); INSERT INTO tr VALUES ('a'), ('A'), ('ä');
    CREATE TABLE u (k uuid PRIMARY KEY, i inet4, j inet6); INSERT INTO u VALUES ('00000000-0000-0000-0000-000000000001', '1.2.3.4', '::ffff:1.2.3.4'), ('ffffffff-0000-1000-8000-000000000001', NULL, NULL);
    CREATE TABLE neg (k int PRIMARY KEY AUTO_INCREMENT); INSERT INTO neg VALUES (-5), (7); CREATE TABLE big (k bigint unsigned PRIMARY KEY AUTO_INCREMENT); INSERT INTO big VALUES (18446744073709551614);
    CREATE TABLE dsc (a int, b int, PRIMARY KEY (a DESC, b)); INSERT INTO dsc VALUES (1, 2), (3, 4), (3, 3)`,
  'engines of every kind': `CREATE TABLE m (g varchar(5), id int AUTO_INCREMENT, PRIMARY KEY (g, id)) ENGINE=MyISAM; INSERT INTO m (g) VALUES ('a'), ('a'), ('b');
    CREATE TABLE m2 (id int, KEY (id)) ENGINE=MyISAM; INSERT INTO m2 VALUES (1), (1); CREATE TABLE m3 LIKE m2; CREATE TABLE mrg (id int, KEY (id)) ENGINE=MERGE UNION=(m2, m3);
    CREATE TABLE mem (id int PRIMARY KEY, v varchar(9)) ENGINE=MEMORY; INSERT INTO mem VALUES (2, 'b'), (1, 'a');
    CREATE TABLE ari (id int PRIMARY KEY, v text) ENGINE=Aria TRANSACTIONAL=1 PAGE_CHECKSUM=1; INSERT INTO ari VALUES (1, 'x'); CREATE TABLE csv1 (id int NOT NULL, v varchar(9) NOT NULL) ENGINE=CSV; INSERT INTO csv1 VALUES (1, 'a,"b')`,
  'charsets of every kind': `CREATE TABLE l (v varchar(20) COLLATE latin1_swedish_ci, t text CHARACTER SET latin1) DEFAULT CHARSET=latin1; INSERT INTO l VALUES ('é€ÿ', 'ü'), (UNHEX('818D8F909D'), UNHEX('00'));
    CREATE TABLE c (a varchar(20) CHARACTER SET ucs2, b varchar(20) CHARACTER SET utf32, c varchar(20) CHARACTER SET big5, d varchar(20) CHARACTER SET gbk, e varchar(20) CHARACTER SET eucjpms, f varchar(20) CHARACTER SET koi8r, g varchar(20) CHARACTER SET utf8mb3, h char(5) CHARACTER SET ascii, i varchar(20) CHARACTER SET cp1250, j varchar(20) CHARACTER SET swe7);
    INSERT INTO c VALUES ('aé', '😀', '功', '中', 'ソ', 'привет', 'é', 'a  ', 'ž', 'a'); CREATE TABLE en (e enum('é','€') CHARACTER SET latin1 DEFAULT 'é', s set('ж','я') CHARACTER SET cp1251) COMMENT='ü\\\\ '' "'; INSERT INTO en VALUES ('€', 'ж,я')`,
  'definitions of sequences and histories': `CREATE SEQUENCE down START WITH -5 INCREMENT BY -3 MINVALUE -100 MAXVALUE -1 CYCLE NOCACHE; DO NEXTVAL(down); CREATE SEQUENCE full START WITH 1 MAXVALUE 2 NOCACHE; DO NEXTVAL(full); DO NEXTVAL(full); CREATE SEQUENCE fresh CACHE 1000;
    CREATE TABLE uses (id int PRIMARY KEY DEFAULT nextval(down), v int DEFAULT (nextval(fresh) + 1));
    CREATE TABLE h (id int PRIMARY KEY, v text, s timestamp(6) GENERATED ALWAYS AS ROW START, e timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING; INSERT INTO h (id, v) VALUES (1, 'a'), (2, 'b'); UPDATE h SET v = 'c'; DELETE FROM h WHERE id = 2;
    CREATE TABLE hp (id int PRIMARY KEY, v int) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION p0 HISTORY, PARTITION pc CURRENT); INSERT INTO hp VALUES (1, 1); UPDATE hp SET v = 2;
    CREATE TABLE hn (v int, w int WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING; INSERT INTO hn VALUES (1, 1); UPDATE hn SET v = 2;
    CREATE TABLE ap (id int, f date, t date, PERIOD FOR p (f, t), PRIMARY KEY (id, p WITHOUT OVERLAPS)); INSERT INTO ap VALUES (1, '2020-01-01', '2021-01-01')`,
  'tables in parts and of odd make': `CREATE TABLE pl (id int, r varchar(5), PRIMARY KEY (id, r)) PARTITION BY LIST COLUMNS (r) (PARTITION a VALUES IN ('x', 'y'), PARTITION b DEFAULT); INSERT INTO pl VALUES (1, 'x'), (2, 'q'), (0, 'y');
    CREATE TABLE sub (id int, d date) PARTITION BY RANGE (YEAR(d)) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION p VALUES LESS THAN (2000), PARTITION q VALUES LESS THAN MAXVALUE); INSERT INTO sub VALUES (1, '1999-01-01'), (2, '2020-01-01'), (NULL, NULL);
    CREATE TABLE pk (a int, b int) PARTITION BY KEY (a) PARTITIONS 3; INSERT INTO pk VALUES (3, 1), (1, 2), (2, 3), (1, 1);
    CREATE TABLE gen (a int, b int AS (a + 1) STORED, c varchar(20) AS (CONCAT('x\\\\'';"', a)) VIRTUAL, d int AS (a * 2) STORED INVISIBLE, UNIQUE (b), KEY (c)); INSERT INTO gen (a) VALUES (1), (2);
    CREATE TABLE comp (id int PRIMARY KEY, t text COMPRESSED, KEY k (id) IGNORED) ROW_FORMAT=COMPRESSED; INSERT INTO comp VALUES (1, REPEAT('x', 5000));
    CREATE TABLE dx (id int PRIMARY KEY, v varchar(50) DEFAULT (UPPER('a''b\\\\c')), w char(36) DEFAULT uuid(), x varchar(9) DEFAULT 'NULL', y varchar(9) DEFAULT NULL, z varchar(20) DEFAULT 'a\\\\''b', CHECK (v <> 'a\\\\\\\\b'), CONSTRAINT \`c k\` CHECK (id > 0 AND x IN ('a;', 'NULL'))); INSERT INTO dx (id) VALUES (1);
    CREATE TABLE sp (g geometry NOT NULL, p point REF_SYSTEM_ID=4326, SPATIAL KEY (g)); INSERT INTO sp VALUES (ST_GeomFromText('POINT(1 2)', 4326), NULL); CREATE TABLE none (a int INVISIBLE, b int); INSERT INTO none (a, b) VALUES (1, 2);
    CREATE TABLE allgen (a int, b int AS (1) VIRTUAL); INSERT INTO allgen (a) VALUES (NULL), (NULL); CREATE TABLE json1 (j json, k longtext CHECK (JSON_VALID(k))); INSERT INTO json1 VALUES ('{"a": "\\\\u00e9\\\\n"}', '[1]');
    CREATE TABLE self (id int PRIMARY KEY, p int, CONSTRAINT me FOREIGN KEY (p) REFERENCES self (id) ON UPDATE CASCADE); SET foreign_key_checks = 0; INSERT INTO self VALUES (1, 2), (2, 1);
    CREATE TABLE away (id int PRIMARY KEY, CONSTRAINT out_of_here FOREIGN KEY (id) REFERENCES other.parent (id));
    CREATE TABLE ring1 (id int PRIMARY KEY, r int); CREATE TABLE ring2 (id int PRIMARY KEY, r int, FOREIGN KEY (r) REFERENCES ring1 (id)); ALTER TABLE ring1 ADD FOREIGN KEY (r) REFERENCES ring2 (id); INSERT INTO ring1 VALUES (1, 1); INSERT INTO ring2 VALUES (1, 1), (2, 99)`,
  'programs of every mode': `SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT';
    CREATE TABLE t (id int PRIMARY KEY, v text, c text AS (v || '\\') VIRTUAL); INSERT INTO t (id, v) VALUES (1, 'a\\b');
    CREATE VIEW v AS SELECT id, 'a\\' || "v" AS "w""x" FROM t; CREATE VIEW elsewhere AS SELECT p.id, t.v FROM other.parent p LEFT JOIN t ON t.id = p.id; CREATE VIEW a_first AS SELECT * FROM v; CREATE VIEW z_last AS SELECT * FROM a_first WHERE id IN (SELECT id FROM v);
    DELIMITER $$
CREATE TRIGGER \`tr\` BEFORE INSERT ON \`t\` FOR EACH ROW BEGIN SET NEW."v" = 'x\\' || NEW."v"; END$$
CREATE FUNCTION f() RETURNS text CHARSET utf8mb4 RETURN 'back\\' || "ünïcode"()$$
CREATE FUNCTION "ünïcode"() RETURNS text CHARSET utf8mb4 COMMENT 'c\\' RETURN 'ü$$'
$$
CREATE EVENT ev ON SCHEDULE AT '2037-01-01 00:00:00' DO BEGIN SELECT 'a\\'; END$$
SET sql_mode = 'ORACLE'$$
CREATE PACKAGE pkg AS FUNCTION one RETURN INT; PROCEDURE p; END$$
CREATE PACKAGE BODY pkg AS FUNCTION one RETURN INT AS BEGIN RETURN 1; END; PROCEDURE p AS BEGIN NULL; END; END$$
CREATE PROCEDURE ora(a INT, b OUT INT) AS BEGIN b := a; END$$
SET sql_mode = DEFAULT$$
CREATE AGGREGATE FUNCTION agg(x int) RETURNS int BEGIN DECLARE s int DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN s; LOOP FETCH GROUP NEXT ROW; SET s = s + x; END LOOP; END$$
CREATE DEFINER='gone person'@'%.example' PROCEDURE \`by ''gone\`() SQL SECURITY DEFINER BEGIN SELECT ';'; -- end;
END$$
CREATE EVENT ev2 ON SCHEDULE EVERY '1:30' MINUTE_SECOND STARTS '2037-01-01' ENDS '2038-01-01' ON COMPLETION PRESERVE DISABLE ON SLAVE COMMENT 'c;' DO SELECT 1$$
SET NAMES latin1$$
CREATE FUNCTION l1() RETURNS varchar(9) CHARSET latin1 RETURN 'abc'$$
SET NAMES utf8mb4$$
`,
};

describe.skipIf(mariadbMissing !== undefined)(`MariaDB (${mariadbMissing ?? 'real server'})`, () => {
  for (const [what, script] of Object.entries(odd))
    it(`${what} come back as they were, by a restore and by plain SQL`, { timeout: 60_000 }, async () => {
      server.create(app, 'CHARACTER SET latin1');
      server.sql(
        '',
        'CREATE DATABASE IF NOT EXISTS other; CREATE TABLE IF NOT EXISTS other.parent (id int PRIMARY KEY)',
      );
      server.sql(app, `${usual} ${script}`);
      const place = await mariadbPlace(server, app);
      const then = server.dump(app);
      const copy = await place.capture();
      server.create(app);
      server.sql(app, 'CREATE TABLE other (id int PRIMARY KEY)');
      await place.restore(copy, await place.capture());
      expect(server.dump(app)).toBe(then);
      expect((await place.capture()).tree).toBe(copy.tree);

      server.create('plain');
      const client = ['mariadb', ...server.clientArguments, '--user=root', 'plain'].join(' ');
      execFileSync('sh', ['-c', `git archive ${copy.tree}:sql | tar -xO | ${client}`], {
        cwd: place.git.path,
        env: cleanEnvironment(),
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      expect((await (await mariadbPlace(server, 'plain')).capture()).tree).toBe(copy.tree);
    });
});
