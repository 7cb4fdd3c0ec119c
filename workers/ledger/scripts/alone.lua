-- alone: a run that is ours starts in a process of its own. ARGV: run, token. Answers what claim.lua does, or nothing.
-- The mark stays with the token: should the lease end now, the run has killed its process, or that process' worker.
local run, token = ARGV[4], ARGV[5]
local own = run_fields(run)
if own[3] ~= token or own[1] ~= 'running' then return nil end
redis.call('HSET', unit_key(run), 'alone', token)
return claimed(run, tonumber(token), event_fields(string.sub(run, 1, 30)), own)
