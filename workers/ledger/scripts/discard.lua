-- discard: dead -> discarded, by a person. ARGV after keep (ms): event id, 1 for --dry-run, reason, audit line.
local id, dry, reason, audit = ARGV[5], ARGV[6] == '1', ARGV[7], ARGV[8]
local key = event_key(id)
local state = get(key, 'state')
if not state then return {'no such event', 0} end
local dropped = 0
for suffix in string.gmatch(get(key, 'runs') or '', '%x+') do
  local run_key = Z .. 'run:' .. id .. '-' .. suffix
  local run_state = get(run_key, 'state')
  if run_state == 'dead' or run_state == 'refused' or not run_state then
    dropped = dropped + 1
    if not dry then
      if not run_state then redis.call('UNLINK', run_key) end  -- its record is gone, or is none of ours
      redis.call('HSET', run_key, 'state', 'discarded', 'sealed_error', '', 'reason', reason)
    end
  end
end
if dropped == 0 and state == 'dead' then dropped = 1 end
if dropped == 0 then return {'nothing to discard: it is ' .. state, 0} end
if not dry then
  if (get(key, 'runs') or '') == '' then finish_event(id, state, 'discarded', reason) else settle(id) end
  flush()
  redis.call('LPUSH', Z .. 'audit', audit)
  redis.call('LTRIM', Z .. 'audit', 0, 9999)
end
return {'discarded', dropped}
