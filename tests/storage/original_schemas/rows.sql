-- Rows in the original's tables: an accent in latin1, every number at its edge, and a job as the original itself
-- writes it, by an INSERT IGNORE that leaves out symbol, type and range.
INSERT INTO datasets VALUES
  ('candles_BTCUSDT_1h', 'BTCUSDT 1h', 'Größe: 100 °', 'market_data', 'candle_schema_v1', 'mongodb', NULL, 'real-time',
   '2025-10-20 00:00:01', '2025-10-20 23:59:59');
INSERT INTO audit_logs VALUES
  ('00000000-0000-4000-8000-000000000001', 'candles_BTCUSDT_1h', 'BTCUSDT', 'gap', 'high',
   'Gap from 2025-10-20T00:00:00 to 2025-10-20T02:00:00', '2025-10-20 12:00:00');
INSERT INTO health_metrics VALUES
  ('00000000-0000-4000-8000-000000000002', 'candles_BTCUSDT_1h', 'BTCUSDT', 100.00, 86400, 0, 0, 99.99,
   '2025-10-20 12:05:00'),
  ('00000000-0000-4000-8000-000000000003', 'candles_ETHUSDT_1m', 'ETHUSDT', NULL, NULL, NULL, NULL, 0.01,
   '2025-10-20 12:05:00');
INSERT INTO backfill_jobs VALUES
  ('00000000-0000-4000-8000-000000000004', 'BTCUSDT', 'candles', '1h', '2025-10-01 00:00:00', '2025-10-02 00:00:00',
   'completed', 100.00, 24, 24, NULL, '2025-10-20 12:00:00', '2025-10-20 12:00:01', '2025-10-20 12:00:02');
INSERT IGNORE INTO backfill_jobs (job_id, status, progress, records_fetched, records_inserted, created_at) VALUES
  ('00000000-0000-4000-8000-000000000005', 'pending', 0.00, 0, 0, '2025-10-20 12:30:00');
INSERT IGNORE INTO backfill_jobs (job_id) VALUES ('00000000-0000-4000-8000-000000000006');
INSERT INTO lineage_records VALUES
  ('00000000-0000-4000-8000-000000000007', 'candles_BTCUSDT_1h', 'trades_BTCUSDT', 'aggregation', 2147483647, 1,
   '2025-10-20 13:00:00');
