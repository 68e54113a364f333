-- Keeps spans for 30 days. Run keep_day.sql for the days that are older first: their spans go at once.
--
-- The exporter partitions otel_traces by day and drops whole parts (`ttl_only_drop_parts`), so this costs next to nothing.
-- The exporter's own setting is `ttl: 720h`: write the same there, or a table that it makes gets another.
ALTER TABLE otel_traces MODIFY TTL toDateTime(Timestamp) + INTERVAL 30 DAY
