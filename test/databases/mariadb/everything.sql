CREATE SEQUENCE odd START WITH 7 INCREMENT BY 2 CACHE 5;
SELECT NEXTVAL(odd), NEXTVAL(odd);
CREATE TABLE customers (
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name varchar(100) NOT NULL COMMENT 'as it is said; with ''quotes'' and a ;
new line',
  email varchar(100) CHARACTER SET latin1 UNIQUE,
  note text CHARACTER SET cp1251,
  greek varchar(20) CHARACTER SET utf16,
  japanese varchar(20) CHARACTER SET sjis,
  state enum('new','old','it''s') NOT NULL DEFAULT 'new',
  flags set('a','b','c'),
  CONSTRAINT named CHECK (name <> ';')
) ENGINE=InnoDB COMMENT='people; all of them';
INSERT INTO customers (name, email, note, greek, japanese, state, flags) VALUES
  ('O''Reilly \\ Söhne', 'a@ä.de', 'привет', 'αβγ', 'ソース', 'old', 'a,c'),
  ('line\nend\r\nand ; and ),\n(1,2);\n\0 \Z \t "', NULL, '', '', '', 'it''s', ''),
  ('\U0001F600 😀 DELIMITER ;;', 'x', NULL, NULL, NULL, 'new', NULL);
SET sql_mode = '';
INSERT INTO customers (name, state) VALUES ('no such state', 'odd');
UPDATE customers SET email = UNHEX('8190A0FF') WHERE id = 3;
CREATE TABLE `odd ``name;` (`a ``b` int PRIMARY KEY, `select` int DEFAULT (1 + 2), KEY `k;` (`select`));
INSERT INTO `odd ``name;` VALUES (0, NULL), (-5, 3);
CREATE TABLE orders (
  id bigint NOT NULL AUTO_INCREMENT,
  customer int unsigned,
  parent bigint,
  at datetime(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6),
  seen timestamp NULL DEFAULT '2001-02-03 04:05:06',
  day date, clock time(3), year year,
  amount decimal(30,10), price float, weight double, small float(7,3),
  bits bit(9), big bit(64), yes bit(1),
  raw varbinary(300), fixed binary(4), image longblob, doc json, place point, area geometry,
  address inet6, tag uuid,
  total decimal(30,10) AS (amount * 2) VIRTUAL, upper_id bigint AS (bits + 1) STORED,
  ticket bigint DEFAULT nextval(odd),
  hidden int INVISIBLE DEFAULT 7,
  PRIMARY KEY (id), KEY by_day (day, amount), FULLTEXT KEY words (doc), KEY up (upper_id),
  CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE ON UPDATE SET NULL,
  CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES orders (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
INSERT INTO orders (id, customer, parent, at, seen, day, clock, year, amount, price, weight, small, bits, big, yes, raw, fixed, image, doc, place, area, address, tag, hidden) VALUES
  (1, 1, 1, '2024-02-29 12:34:56.789012', '2024-10-27 00:30:00', '0000-00-00', '-838:59:59.123', 0, 12345678901234567890.0123456789, 0.1, 0.1, 3.14159, b'101010101', 0xFFFFFFFFFFFFFFFF, 1, 0x0001FF0A0D275C, 'ab', REPEAT(0x00FF, 1000), '{"a": [1, 2, "ü"]}', POINT(1.5, -2.25), ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326), '::1', '123e4567-e89b-12d3-a456-426655440000', 1),
  (2, 2, 1, '0000-00-00 00:00:00', '0000-00-00 00:00:00', '2024-00-00', '00:00:00', 2155, -0.5, 3.4e38, 1.7976931348623157e308, -1, 0, 0, 0, '', '', '', NULL, NULL, NULL, NULL, NULL, NULL),
  (3, NULL, NULL, '9999-12-31 23:59:59.999999', NULL, NULL, NULL, NULL, NULL, 16777217, 5e-324, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, DEFAULT),
  (4, NULL, NULL, '2024-01-01', NULL, '2024-02-31', NULL, 1999, 1, 1.4e-45, -0e0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, NULL, NULL, NULL, DEFAULT);
ALTER TABLE orders AUTO_INCREMENT = 1000;
CREATE TABLE no_key (a int, b varchar(20));
INSERT INTO no_key VALUES (3, 'x'), (1, 'y'), (3, 'x'), (NULL, NULL);
CREATE TABLE empty_one (id int PRIMARY KEY AUTO_INCREMENT) AUTO_INCREMENT = 77;
CREATE TABLE myisam (id int PRIMARY KEY, v text) ENGINE=MyISAM;
INSERT INTO myisam VALUES (1, 'one'), (2, 'two');
CREATE TABLE aria (id int PRIMARY KEY, v text) ENGINE=Aria;
INSERT INTO aria VALUES (1, 'one');
CREATE TABLE parted (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at)) (PARTITION p0 VALUES LESS THAN (2020), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parted VALUES (2, '2019-01-01'), (1, '2024-01-01'), (3, '2018-01-01');
CREATE TABLE history (id int PRIMARY KEY, v int) WITH SYSTEM VERSIONING;
INSERT INTO history VALUES (1, 1), (2, 2);
UPDATE history SET v = 5 WHERE id = 1;
DELETE FROM history WHERE id = 2;
CREATE TABLE audit (id int PRIMARY KEY AUTO_INCREMENT, what varchar(100));
CREATE VIEW z_base AS SELECT id, name, 'app.x' AS literal FROM customers WHERE name <> ';';
CREATE SQL SECURITY INVOKER VIEW a_on_z AS SELECT z_base.id, z_base.name FROM z_base WITH CASCADED CHECK OPTION;
DELIMITER ;;
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC COMMENT 'n; n' BEGIN DECLARE r int; SET r = n * 2; RETURN r; END;;
CREATE VIEW with_function AS SELECT id, twice(id) AS two FROM customers;;
CREATE PROCEDURE fill(IN n int, OUT m int) MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
  -- a comment; with ; in it
  INSERT INTO audit (what) VALUES (CONCAT('fill;', n));
  SET m = n;
END;;
CREATE TRIGGER first_one BEFORE INSERT ON orders FOR EACH ROW BEGIN SET NEW.amount = COALESCE(NEW.amount, 0); END;;
CREATE TRIGGER second_one AFTER UPDATE ON orders FOR EACH ROW INSERT INTO audit (what) VALUES (CONCAT('order ', NEW.id));;
CREATE TRIGGER third_one AFTER UPDATE ON orders FOR EACH ROW FOLLOWS second_one INSERT INTO audit (what) VALUES ('third');;
CREATE DEFINER=`nobody`@`nowhere` EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ON COMPLETION PRESERVE COMMENT 'e;' DO BEGIN DELETE FROM audit WHERE id < 10; END;;
CREATE EVENT off ON SCHEDULE EVERY 1 HOUR DISABLE DO SELECT 1;;
SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT';;
CREATE FUNCTION ansi() RETURNS text CHARSET utf8mb4 NO SQL RETURN 'a' || 'ü';;
DELIMITER ;
INSERT INTO audit (what) VALUES ('start');
