-- wrk: every request is a new event. KIND says how it is signed:
-- github: the bodies in turn, a fresh delivery id each. unsigned: the same with a wrong signature. zyra: bodies signed beforehand, from a file.
local kind, path = os.getenv("KIND"), os.getenv("TARGET")
local file = assert(io.open(os.getenv("BODIES"), "rb"))
local bodies, signatures = {}, {}
for line in file:lines() do
  local signature, body = line:match("^(%S+) (.*)$")
  signatures[#signatures + 1] = signature
  bodies[#bodies + 1] = body
end
file:close()
local run, number, headers = os.getenv("RUN"), 0, {["Content-Type"] = "application/json"}
request = function()
  number = number + 1
  if kind == "zyra" then
    local body = bodies[number]
    if not body then error("more requests than bodies") end
    headers["X-Zyra-Event"] = "virtual_server.started"
    headers["X-Zyra-Signature"] = signatures[number]
    return wrk.format("POST", path, headers, body)
  end
  headers["X-GitHub-Event"] = "push"
  headers["X-GitHub-Delivery"] = run .. "-" .. number
  local turn = number % #bodies + 1
  headers["X-Hub-Signature-256"] = "sha256=" .. (kind == "github" and signatures[turn] or string.rep("0", 64))
  return wrk.format("POST", path, headers, bodies[turn])
end
done = function(summary, latency)
  local wrong = summary.errors
  io.write(string.format('RESULT {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "status": %d, "socket": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    wrong.status, wrong.connect + wrong.read + wrong.write + wrong.timeout))
end
