-- What an attempt or a dispatch needs of its records. The body is read by GET: through a script it would cost three times
-- as much.
-- A record by name, and flat as Redis answers it; both are empty where the key holds no hash, which is none of ours.
local read_record = function(key)
  local flat = redis.pcall('HGETALL', key)
  if flat.err then flat = {} end
  local record = {}
  for i = 1, #flat, 2 do record[flat[i]] = flat[i + 1] end
  return record, flat
end
local note = function(flat, name, value)  -- what the script changed since it read the record: the last one counts
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
-- What is answered of a unit: its name, its event's record, and its own where it is a run.
local claimed = function(unit, event, own) return {unit, event, is_run(unit) and own or {}} end
