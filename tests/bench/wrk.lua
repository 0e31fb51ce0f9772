-- One small POST, over and over; the figures go to stdout as one line of JSON.
wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Content-Type"] = "application/json"

done = function(summary, latency)
  local errors, steps = summary.errors, {}
  for percent = 1, 100 do steps[percent] = latency:percentile(percent == 100 and 99.99 or percent) end
  io.write(string.format(
    '\n{"requests": %d, "us": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, "bad_status": %d, "broken": %d, "timeouts": %d, "steps_us": [%s]}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    table.concat(steps, ",")))
end
