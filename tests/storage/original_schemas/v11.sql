-- The catalog as the original's version 1.1.0 makes it on a server whose character set is latin1.
CREATE TABLE datasets (
  dataset_id varchar(64) NOT NULL,
  name varchar(100) NOT NULL,
  description varchar(500) DEFAULT NULL,
  category varchar(50) NOT NULL,
  schema_id varchar(64) DEFAULT NULL,
  storage_type varchar(20) NOT NULL,
  owner varchar(100) DEFAULT NULL,
  update_frequency varchar(50) DEFAULT NULL,
  created_at datetime NOT NULL,
  updated_at datetime NOT NULL,
  PRIMARY KEY (dataset_id),
  KEY idx_datasets_category (category)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE audit_logs (
  audit_id varchar(64) NOT NULL,
  dataset_id varchar(64) NOT NULL,
  symbol varchar(20) NOT NULL,
  audit_type varchar(50) NOT NULL,
  severity varchar(20) DEFAULT NULL,
  details text DEFAULT NULL,
  timestamp datetime NOT NULL,
  PRIMARY KEY (audit_id),
  KEY idx_audit_logs_symbol (symbol),
  KEY idx_audit_logs_dataset_timestamp (dataset_id, timestamp)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE health_metrics (
  metric_id varchar(64) NOT NULL,
  dataset_id varchar(64) NOT NULL,
  symbol varchar(20) NOT NULL,
  completeness decimal(5,2) DEFAULT NULL,
  freshness_seconds int(11) DEFAULT NULL,
  gaps_count int(11) DEFAULT NULL,
  duplicates_count int(11) DEFAULT NULL,
  quality_score decimal(5,2) DEFAULT NULL,
  timestamp datetime NOT NULL,
  PRIMARY KEY (metric_id),
  KEY idx_health_metrics_symbol (symbol),
  KEY idx_health_metrics_dataset_timestamp (dataset_id, timestamp)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE backfill_jobs (
  job_id varchar(64) NOT NULL,
  symbol varchar(20) NOT NULL,
  data_type varchar(50) NOT NULL,
  timeframe varchar(10) DEFAULT NULL,
  start_time datetime NOT NULL,
  end_time datetime NOT NULL,
  status varchar(20) NOT NULL,
  progress decimal(5,2) DEFAULT NULL,
  records_fetched int(11) DEFAULT NULL,
  records_inserted int(11) DEFAULT NULL,
  error_message text DEFAULT NULL,
  created_at datetime NOT NULL,
  started_at datetime DEFAULT NULL,
  completed_at datetime DEFAULT NULL,
  PRIMARY KEY (job_id),
  KEY idx_backfill_jobs_symbol (symbol),
  KEY idx_backfill_jobs_status (status)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE lineage_records (
  lineage_id varchar(64) NOT NULL,
  dataset_id varchar(64) NOT NULL,
  source_dataset_id varchar(64) DEFAULT NULL,
  transformation varchar(100) NOT NULL,
  input_records int(11) DEFAULT NULL,
  output_records int(11) DEFAULT NULL,
  timestamp datetime NOT NULL,
  PRIMARY KEY (lineage_id),
  KEY idx_lineage_records_dataset (dataset_id)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;
