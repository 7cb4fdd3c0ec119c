"""uvicorn: processes, connections, and limits on what an unsigned sender may use.

serve        starts uvicorn, drains before the end
protocol     parses the requests of one connection, within bounds
cycle        one request and its response
connections  all connections of a process: their number, their deadlines
bodies       the memory that bodies under way may take
"""
