-- replay: dead -> queued with a fresh budget, and a fresh journal of calls.
-- ARGV after keep (ms): event id, 1 for --again, 1 for --dry-run, audit line, 1 for --keep-calls, and what a person said of
-- calls without an answer: pairs of a run and that, sealed.
-- Answers what it did, and how many runs it queued.
local id, again, dry, audit, keep_calls = ARGV[5], ARGV[6] == '1', ARGV[7] == '1', ARGV[8], ARGV[9] == '1'
local said = {}
for i = 10, #ARGV, 2 do said[ARGV[i]] = ARGV[i + 1] end
local key = event_key(id)
local state = get(key, 'state')
if not state then return {'no such event', 0} end
if redis.call('EXISTS', Z .. 'body:' .. id) == 0 then return {'the body is gone', 0} end
local queued = 0
local reopen = function(unit, to)
  queued = queued + 1
  if dry then return end
  redis.call('HSET', unit_key(unit), 'attempts', 0, 'failures', 0, 'deaths', 0, 'sealed_error', '', 'next_at', '',
    'replays', number(unit_key(unit), 'replays') + 1)
  redis.call('HDEL', unit_key(unit), 'suspect', 'kills', 'quarantined', 'alone', 'missing_since', 'later_since')
  redis.call('HDEL', unit_key(unit), 'unanswered', 'superseded')
  if is_run(unit) then redis.call('HSET', unit_key(unit), 'debounced', 1) end  -- a replay skips the debounce
  local lane = get(unit_key(unit), 'lane')
  if lane then  -- it is the last one of its lane now, unless it stopped that
    find_order(unit, lane)
    drop('stopped', unit)
  end
  if not keep_calls then
    redis.call('UNLINK', Z .. 'calls:' .. unit)
    redis.call('HDEL', unit_key(unit), 'calls')
  elseif said[unit] then
    redis.call('HSET', unit_key(unit), 'unanswered', said[unit])
  end
  requeue(unit, to)
end
local failed, ended_well = {dead = true, refused = true}, {done = true, discarded = true, skipped = true}
local known, unknown, hooks = {}, {}, get(key, 'hooks') or ''
for suffix in string.gmatch(get(key, 'runs') or '', '%x+') do
  local run = id .. '-' .. suffix
  local run_state = get(Z .. 'run:' .. run, 'state')
  table.insert(run_state and known or unknown, suffix)
  if failed[run_state] or (again and ended_well[run_state] and not string.find(hooks, suffix, 1, true)) then
    reopen(run, 'queued')
  elseif run_state == 'waiting' then
    queued = queued + 1
    if not dry then requeue(run, 'queued') end
  end
end
local runs = get(key, 'runs') or ''
if #unknown > 0 then  -- whose record is gone, or is none of ours: dispatch makes what is missing
  if not dry then
    for _, suffix in ipairs(unknown) do
      redis.call('UNLINK', Z .. 'run:' .. id .. '-' .. suffix, Z .. 'calls:' .. id .. '-' .. suffix)
    end
    redis.call('HSET', key, 'runs', table.concat(known, ','))
    drop('open', id)
  end
  reopen(id, 'accepted')
elseif runs == '' and (state == 'dead' or state == 'unhandled' or state == 'unreadable' or (again and state == 'discarded')) then
  reopen(id, 'accepted')
elseif queued > 0 and not dry then
  redis.call('HSET', key, 'state', 'dispatched', 'cause', '')
  add('open', now, id)
end
if queued == 0 then return {'nothing to replay: it is ' .. state, 0} end
if not dry then
  drop('dead', id)
  drop_final(id)
  flush()
  redis.call('LPUSH', Z .. 'audit', audit)
  redis.call('LTRIM', Z .. 'audit', 0, 9999)
end
return {'replayed', queued}
