-- What other services keep in the same database, as different from the catalog's own as a server allows.
CREATE TABLE klines_h1 (
  id varchar(64) NOT NULL,
  symbol varchar(20) CHARACTER SET ascii NOT NULL,
  timestamp datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  `interval` enum('1h','h1') NOT NULL,
  close_price decimal(20,8) NOT NULL,
  low_price decimal(20,8) GENERATED ALWAYS AS (close_price / 2) STORED,
  PRIMARY KEY (id),
  KEY idx_klines_h1_symbol_timestamp (symbol, timestamp)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COMMENT='hands off';
INSERT INTO klines_h1 (id, symbol, `interval`, close_price) VALUES ('a', 'BTCUSDT', '1h', 0.00000001);

CREATE TABLE klines_m5 (id int NOT NULL, details varchar(10)) ENGINE=MyISAM DEFAULT CHARSET=utf8mb4;
INSERT INTO klines_m5 VALUES (1, 'ä'), (1, 'ä');

CREATE TABLE data_manager_of_somebody_else (a datetime);
INSERT INTO data_manager_of_somebody_else VALUES ('2025-10-20 00:00:00');

CREATE VIEW klines_1h AS SELECT id, symbol FROM klines_h1;
