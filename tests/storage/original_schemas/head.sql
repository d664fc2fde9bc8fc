-- What the original's state of July 2026 has beyond v11.sql.
ALTER TABLE backfill_jobs MODIFY status enum('pending','running','completed','failed') NOT NULL;
CREATE INDEX idx_audit_logs_symbol_timestamp ON audit_logs (symbol, timestamp);
CREATE INDEX idx_health_metrics_symbol_timestamp ON health_metrics (symbol, timestamp);

CREATE TABLE `schemas` (
  schema_id varchar(64) NOT NULL,
  name varchar(100) NOT NULL,
  version int(11) NOT NULL,
  status enum('ACTIVE','DEPRECATED','DELETED') NOT NULL,
  definition text NOT NULL,
  created_at datetime NOT NULL,
  PRIMARY KEY (schema_id),
  UNIQUE KEY uq_schemas_name_version (name, version),
  KEY idx_schemas_name (name),
  KEY idx_schemas_status (status)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;
INSERT INTO `schemas` VALUES ('a', 'candle', 1, 'ACTIVE', '{"ä": 1}', '2026-01-01 00:00:00');
