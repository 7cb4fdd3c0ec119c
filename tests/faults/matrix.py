"""The rows in their order; what CI runs; and the guards whose absence must be seen."""

from tests.support.cluster import can_move_at_once

from . import cluster_rows, hostile_rows, receiver_rows, redis_rows, release_rows, worker_rows
from .row import Row

ROWS = [
    Row("1 no fault", receiver_rows.nothing),
    Row("2 receiver killed before its answer", receiver_rows.killed_before_the_answer),
    Row("3 receiver killed before the write", receiver_rows.killed_before_the_write),
    Row("4 rolling restart of both", receiver_rows.rolling_restart),
    Row("5 worker killed between pop and start", worker_rows.killed_between_pop_and_start),
    Row("6 worker terminated between pop and start", worker_rows.terminated_between_pop_and_start),
    Row("7 worker killed in midst", worker_rows.killed_in_midst),
    Row("8 only the worker's parent killed", worker_rows.parent_killed),
    Row("10 worker paused 20 s", worker_rows.paused),
    Row("11 no worker for 5 minutes", worker_rows.fleet_away),
    Row("12 poison among 49 innocents", worker_rows.poison),
    Row("13 Redis killed", redis_rows.killed),
    Row("14 Redis killed, everysec", redis_rows.killed, {"durability": "everysec"}),
    Row("15 Redis not durable", redis_rows.not_durable),
    Row("17 Redis away 50 s", redis_rows.away),
    Row("18 Redis hanging 30 s", redis_rows.hanging),
    Row("19 Redis silent 3 s, three times", redis_rows.silent_for_a_while),
    Row("20 reply to the receiver swallowed", redis_rows.reply_swallowed),
    Row("21 replies to a worker swallowed", redis_rows.claims_swallowed),
    Row("22 connections reset and cut", redis_rows.connections_cut),
    Row("23 slow Redis", redis_rows.slow),
    Row("25 Redis full", redis_rows.full),
    Row("26 disk full", redis_rows.disk_full),
    Row("26 disk full, everysec", redis_rows.disk_full_everysec, {"durability": "everysec"}),
    Row("28 failover to a lagging replica", redis_rows.failover, {"durability": "replicated"}),
    Row("28 Sentinels fail over", redis_rows.sentinels_fail_over, {"durability": "replicated"}),
    Row("31 RQ's jobs spoilt", redis_rows.spoilt_jobs),
    Row("33 list deleted, four sweepers", redis_rows.deleted_list),
    Row("35 clock jumps by an hour", redis_rows.clock_jumps, {"clock": "yes"}),
    Row("36 every kind of bad handler", worker_rows.misbehaving),
    Row("36 the loop blocked for 60 s", worker_rows.blocked_loop),
    Row("37 one of three handlers fails", worker_rows.one_of_three_fails),
    Row("39 duplicate storm", receiver_rows.duplicate_storm),
    Row("41 unsigned flood", hostile_rows.unsigned_flood),
    Row("42 slow senders", hostile_rows.slow_loris),
    Row("43 hostile corpus", hostile_rows.hostile_corpus),
    Row("45 handler renamed by a deploy", worker_rows.handler_renamed),
    Row("records forged in Redis", hostile_rows.forged_records),
    Row("46 worker killed, cluster", cluster_rows.worker_killed),
    Row("47 receiver killed, cluster", cluster_rows.receiver_killed),
    Row("48 primary killed, cluster", cluster_rows.primary_killed, {"durability": "replicated"}),
    Row("49 primary paused, cluster", cluster_rows.primary_paused, {"durability": "replicated"}),
    *([Row("50 slot moved at once", cluster_rows.slot_moved_at_once)] if can_move_at_once() else []),
    Row("51 slot moved key by key", cluster_rows.slot_moved_by_keys),
    Row("52 two releases side by side", release_rows.side_by_side),
]
IN_CI = {"1", "2", "5", "6", "7", "12", "13", "20", "25", "37", "39", "48", "49", "50", "51", "52"}
SHORT = [row for row in ROWS if row.name.split()[0] in IN_CI]
CONTROLS = [
    (Row("13 Redis killed", redis_rows.killed), "append-only file"),
    (Row("28 failover to a lagging replica", redis_rows.failover, {"durability": "everysec"}), "WAIT"),
    (Row("33 list deleted", redis_rows.deleted_list), "sweeper"),
    (Row("10 worker paused 20 s", worker_rows.paused), "fencing"),
    (Row("records forged in Redis", hostile_rows.forged_records), "seal"),
    (Row("39 duplicate storm", receiver_rows.duplicate_storm), "dedup"),
]
