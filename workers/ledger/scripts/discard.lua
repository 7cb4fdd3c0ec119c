-- discard: dead -> discarded, by a person; runs that wait for a handler, too, which no worker has or which is paused, and
-- runs that wait in a lane.
-- ARGV after keep (ms): event id, 1 for --dry-run, reason, audit line, and the part of a run's id that stands for a
-- handler, whose runs alone are meant ('' for all).
local id, dry, reason, audit, only = ARGV[5], ARGV[6] == '1', ARGV[7], ARGV[8], ARGV[9]
local key = event_key(id)
local state = get(key, 'state')
if not state then return {'no such event', 0} end
local dropped = 0
for suffix in string.gmatch(get(key, 'runs') or '', '%x+') do
  local run_key = Z .. 'run:' .. id .. '-' .. suffix
  local run = pick(run_key, 'state', 'missing_since', 'lane')
  local idle = run.state == 'paused' or (run.state == 'waiting' and (run.missing_since or run.lane))
  local ended = idle or run.state == 'dead' or run.state == 'refused' or not run.state
  if ended and (only == '' or only == suffix) then
    dropped = dropped + 1
    if not dry then
      if idle then forget(id .. '-' .. suffix) end
      if not run.state then redis.call('UNLINK', run_key) end  -- its record is gone, or is none of ours
      redis.call('HSET', run_key, 'state', 'discarded', 'sealed_error', '', 'reason', reason)
      if run.lane then leave_lane(id .. '-' .. suffix, run.lane, 'discarded') end
    end
  end
end
if dropped == 0 and state == 'dead' and only == '' then dropped = 1 end
if dropped == 0 then return {'nothing to discard: it is ' .. state, 0} end
if not dry then
  if (get(key, 'runs') or '') == '' then finish_event(id, state, 'discarded', reason) else settle(id) end
  flush()
  redis.call('LPUSH', Z .. 'audit', audit)
  redis.call('LTRIM', Z .. 'audit', 0, 9999)
end
return {'discarded', dropped}
