-- shed: makes room: drops the bodies of finished events, oldest first, and once none is left deletes their records.
-- ARGV after keep (ms): how many, and how long a finished event stays, whatever the need (ms).
-- Answers how many bodies, and how many records.
local most, upto = tonumber(ARGV[5]), whole(now - tonumber(ARGV[6]))
local bodies, more = 0, false
for _, name in ipairs(list_finals()) do
  local dropped, left = drop_bodies(name, upto, most)
  bodies, more = bodies + dropped, more or left
end
local records = (more or bodies > 0) and 0 or delete_finished(upto, most)
if bodies > 0 then count('bodies_shed', bodies) end
if records > 0 then count('records_shed', records) end
flush()
return {bodies, records}
