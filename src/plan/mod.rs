//! Judgement: `plan(&World) -> Plan`. Pure, total, deterministic: no clock, no I/O, no async, no logging.
