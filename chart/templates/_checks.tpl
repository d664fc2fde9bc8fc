{{- /*
What values.schema.json cannot say: values that are good alone and wrong together, each refused with one sentence.
*/}}
{{- define "data-manager.checks" -}}
{{- range $name, $instead := dict "API_PORT" "ports.http" "METRICS_PORT" "ports.metrics" "DATA_DIR" "persistence"
    "NATS_URL" "nats.url" "EXCHANGE_ENABLED" "demo.enabled" "REQUIRE_SHARED_STORES" "stores"
    "MONGODB_URL" "stores.market and secret.mongodbKey" "MONGODB_HOST" "stores.market and secret.mongodbKey"
    "MYSQL_URI" "stores.catalog and secret.mysqlKey" "MYSQL_HOST" "stores.catalog and secret.mysqlKey"
    "MONGODB_PASSWORD" "secret.env" "MYSQL_PASSWORD" "secret.env" "API_TOKEN" "secret.env"
    "OTEL_EXPORTER_OTLP_HEADERS" "secret.env" }}
{{- if hasKey $.Values.config $name }}
{{- fail (printf "config.%s: set %s instead, from which the chart makes it." $name $instead) }}
{{- end }}
{{- end }}
{{- if not (or .Values.demo.enabled .Values.nats.url .Values.commonConfig .Values.secret.env.NATS_URL) }}
{{- fail "nats.url: nothing says where NATS is; set it, commonConfig (a ConfigMap with NATS_URL) or secret.env.NATS_URL." }}
{{- end }}
{{- if and .Values.migrations.job.enabled (or .Values.demo.enabled (eq .Values.stores.catalog "sqlite")) }}
{{- fail "migrations.job.enabled: the catalog is SQLite's, whose file no job can reach and which the service migrates itself; set it to false." }}
{{- end }}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
{{- fail (printf "autoscaling.minReplicas is %v and must not be above maxReplicas, %v." .Values.autoscaling.minReplicas .Values.autoscaling.maxReplicas) }}
{{- end }}
{{- if eq (int .Values.ports.http) (int .Values.ports.metrics) }}
{{- fail (printf "ports.http and ports.metrics are both %v: give each its own." .Values.ports.http) }}
{{- end }}
{{- $needed := addf .Values.preStopSeconds (.Values.config.DRAIN_TIMEOUT_S | default 12 | float64) 8 }}
{{- if le (float64 .Values.terminationGracePeriodSeconds) $needed }}
{{- fail (printf "terminationGracePeriodSeconds is %v and must be above %v: preStopSeconds, DRAIN_TIMEOUT_S and 8 to end the processes." .Values.terminationGracePeriodSeconds $needed) }}
{{- end }}
{{- include "data-manager.checkMemory" . }}
{{- end }}

{{- /* The container's limit must never act before a process's own: it would end all symbols instead of one. */}}
{{- define "data-manager.checkMemory" -}}
{{- $symbols := len (splitList "," (.Values.config.SUPPORTED_PAIRS | default "BTCUSDT,ETHUSDT,BNBUSDT,ADAUSDT,SOLUSDT")) }}
{{- $each := .Values.config.INGEST_MEMORY_HARD_MB | default 512 | int }}
{{- $needed := add (mul $symbols $each) 600 }}
{{- $limit := .Values.resources.limits.memory }}
{{- $mib := trimSuffix "Gi" $limit | trimSuffix "Mi" | int }}
{{- if hasSuffix "Gi" $limit }}{{ $mib = mul $mib 1024 }}{{ end }}
{{- if lt (int $mib) (int $needed) }}
{{- fail (printf "resources.limits.memory is %s and must be at least %dMi: %d symbols with INGEST_MEMORY_HARD_MB %d each, and 600 for the rest." $limit $needed $symbols $each) }}
{{- end }}
{{- end }}
