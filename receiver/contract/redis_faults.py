"""Why Redis does not do what it is asked: one word for metrics, and a sentence that says what to do."""

from redis.exceptions import AskError, TryAgainError

NO_ANSWER = "redis"  # the cause where Redis said nothing
SENTENCES = {  # by the codes of Redis, in the order in which they are looked for; `replicas` is ours, too
    "OOM": "Redis is out of memory: raise maxmemory, or shorten KEEP_DONE",
    "READONLY": "this Redis is a replica: connect to the primary",
    "LOADING": "Redis is loading its data, and will answer when that is done",
    "MISCONF": "Redis cannot write to its disk, which may be full",
    "NOAUTH": "Redis wants a password: put it into REDIS_URL",
    "WRONGPASS": "Redis refuses the user or the password of REDIS_URL",
    "NOPERM": "the user of REDIS_URL lacks a right: compare it with deploy/users.acl",
    "WRONGTYPE": "something else than the ledger stands under one of its names: `zyra-receiver status` says where",
    "MOVED": "the ledger's slot has moved to another node",
    "CLUSTERDOWN": "the cluster does not serve the ledger's slot",
    "replicas": "too few replicas confirm what is written",
}
CAUSES = {word.lower(): sentence for word, sentence in SENTENCES.items()} | {
    NO_ANSWER: "Redis does not answer",
    "moving": "the ledger's slot moves to another node of the cluster",
}
TLS_SENTENCES = {  # by what Python's ssl says
    "Hostname mismatch": "the certificate of Redis is for another host than REDIS_URL names",
    "IP address mismatch": "the certificate of Redis is for another host than REDIS_URL names",
    "CERTIFICATE_VERIFY_FAILED": "the certificate of Redis is of an unknown CA: add ?ssl_ca_certs=FILE to REDIS_URL",
    "WRONG_VERSION_NUMBER": "REDIS_URL begins with rediss://, but the server speaks no TLS at this port",
    "RECORD_LAYER_FAILURE": "REDIS_URL begins with rediss://, but the server speaks no TLS at this port",
    "SSL": "the TLS handshake with Redis fails",
}


def name_cause(error: BaseException) -> str:
    """One word for metrics and logs."""
    if isinstance(error, AskError | TryAgainError):  # the ledger's slot moves to another node, key by key
        return "moving"
    text = f"{getattr(error, 'status_code', None)} {error}"  # redis-py takes the code out of some texts
    return next((word.lower() for word in SENTENCES if word in text), NO_ANSWER)


def explain(error: BaseException) -> str:
    """What is wrong and what to do, in a sentence that names no address: /healthz shows it to anybody."""
    cause = name_cause(error)
    if cause != NO_ANSWER:
        return CAUSES[cause]
    return next((sentence for word, sentence in TLS_SENTENCES.items() if word in str(error)), CAUSES[NO_ANSWER])


def explain_to_operator(error: BaseException) -> str:
    """The sentence, and the error itself."""
    return f"{explain(error)} ({str(error) or type(error).__name__})"
