"""What candles and books say: eight categories of metrics and the anomalies, computed by pure functions."""
