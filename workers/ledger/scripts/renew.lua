-- renew: a longer lease for units that are still ours. ARGV: lease (ms), then pairs of unit and token.
-- Answers the pairs that are not ours any more.
local lost = {}
for i = 5, #ARGV, 2 do
  local unit, key = ARGV[i], unit_key(ARGV[i])
  local state = get(key, 'state')
  if get(key, 'token') == ARGV[i + 1] and (state == 'running' or (not is_run(unit) and state == 'accepted'))
      and redis.call('ZSCORE', Z .. index(unit, 'running'), unit) then
    add(index(unit, 'running'), now + tonumber(ARGV[4]), unit)
  else
    lost[#lost + 1] = unit
    lost[#lost + 1] = ARGV[i + 1]
  end
end
flush()
return lost
