-- What every day cost, for 3 years, long after its spans are dropped. Run it once, then keep_day.sql for every day.
CREATE TABLE IF NOT EXISTS otel_cost_by_day (
    day Date,
    tenant String,
    feature String,
    model String,
    calls UInt64,
    input_tokens UInt64,
    output_tokens UInt64,
    cost_usd Decimal(76, 45), -- a lower bound where there are unpriced calls
    unpriced_calls UInt64,
    written_at DateTime DEFAULT now()
) ENGINE = ReplacingMergeTree(written_at)
ORDER BY (day, tenant, feature, model)
TTL day + INTERVAL 3 YEAR
