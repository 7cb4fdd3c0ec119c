-- alone: a run that is ours starts in a process of its own. ARGV: run, token. Answers what claim.lua does, or nothing.
-- The mark stays with the token: should the lease end now, the run has killed its process, or that process' worker.
local run, token = ARGV[4], ARGV[5]
local own, flat = read_record(unit_key(run))
if own.token ~= token or own.state ~= 'running' then return nil end
redis.call('HSET', unit_key(run), 'alone', token)
local _, event = read_record(event_key(string.sub(run, 1, 30)))
return claimed(run, event, flat)
