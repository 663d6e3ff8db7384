-- What wrk sends, chosen by the first argument after `--`, and its counts as one line of JSON.
--   same    every request alike, the fewest fields (Host)
--   unique  every request differs in one field
--   fields  ten typical fields, of which the trace's differs in every request
--   hosts   one request after another to each of as many services as the second argument says

local typical = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  ["Accept"] = "application/json, text/plain, */*",
  ["Accept-Encoding"] = "gzip, deflate, br",
  ["Accept-Language"] = "en-GB,en;q=0.7,de;q=0.3",
  ["Cookie"] = "session=5f2b9c1d7e8a4f60b3c2; theme=dark; consent=1",
  ["Authorization"] = "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJiZW5jaCJ9.c2lnbmF0dXJlLW9mLXRoZS1iZW5jaC10b2tlbg",
  ["Cache-Control"] = "no-cache",
  ["X-Forwarded-For"] = "203.0.113.7",
  ["X-Forwarded-Proto"] = "http",
}

local count = 0

local function numbered(field, value)
  wrk.headers[field] = "@@"
  local head, tail = wrk.format():match("^(.*)@@(.*)$")
  request = function()
    count = count + 1
    return head .. value(count) .. tail
  end
end

local variants = {
  same = function() end,
  unique = function()
    numbered("X-Unique", function(n) return string.format("%018d", n) end)
  end,
  fields = function()
    for name, value in pairs(typical) do wrk.headers[name] = value end
    numbered("Traceparent", function(n) return string.format("00-4bf92f3577b34da6%016x-%016x-01", n, n) end)
  end,
  hosts = function(total)
    local requests = {}
    for n = 0, total - 1 do
      requests[n] = wrk.format(nil, nil, { Host = n == 0 and "echo" or string.format("echo-%04d", n) })
    end
    request = function()
      count = count + 1
      return requests[count % total]
    end
  end,
}

function init(args)
  variants[args[1]](tonumber(args[2]))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "duration_s": %.6f, "failed": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
