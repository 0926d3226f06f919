# SPDX-License-Identifier: MIT
"""admin_python: what admin_checks.py asks, by kafka-python or confluent-kafka.

    admin_python.py kafka|confluent HOST:PORT TOPIC

TOPIC has one partition of ten records. Prints one JSON object: a word for each question, with its
answer; those the library has no call for are left out.
"""
import json
import sys


def told(error):
    """The number of an error, however the library wraps it."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    first = error.args[0] if error.args else None
    return first.code() if hasattr(first, "code") else getattr(error, "errno", str(error))


def attempt(work):
    try:
        return work()
    except Exception as error:
        return told(error)


def by_kafka(address, topic):
    import kafka
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
    admin = KafkaAdminClient(bootstrap_servers=address, client_id="admin")
    place, config = kafka.TopicPartition(topic, 0), ConfigResourceType.TOPIC
    new = hasattr(admin, "list_config_resources")  # 3.x
    out = {}

    def value(key):
        said = admin.describe_configs([ConfigResource(config, topic)])
        if new:
            return said["TOPIC"][topic][key]["value"] if "TOPIC" in said else said["topic"][topic][key]["value"]
        return next(row[1] for row in said[0].resources[0][4] if row[0] == key)

    admin.alter_configs([ConfigResource(config, topic, configs={"retention.ms": "7200000"})])
    out["set"] = value("retention.ms")
    if new:
        admin.alter_configs([ConfigResource(config, topic, configs={"cleanup.policy": ("APPEND", "compact")})])
        out["append"] = value("cleanup.policy")
        admin.alter_configs([ConfigResource(config, topic, configs={"cleanup.policy": ("SUBTRACT", "compact")})])
        out["dirs"] = len(admin.describe_log_dirs())
        out["moves"] = len(admin.list_partition_reassignments())
        out["resources"] = bool(admin.list_config_resources())
        out["partitions"] = [t["name"] for t in admin.describe_topic_partitions([topic])["topics"]]
    out["deleted"] = admin.delete_records({place: 4})[place]["low_watermark"]
    out["beyond"] = attempt(lambda: admin.delete_records({place: 11}))
    return out


def by_confluent(address, topic):
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                       ResourceType)
    import confluent_kafka
    admin, out = AdminClient({"bootstrap.servers": address}), {}

    def only(answers):
        return next(iter(answers.values())).result(20)

    def alter(key, value, how):
        entry = ConfigEntry(key, value, incremental_operation=how)
        return only(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic,
                                                                    incremental_configs=[entry])]))

    def value(key):
        return only(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))[key].value

    alter("retention.ms", "7200000", AlterConfigOpType.SET)
    out["set"] = value("retention.ms")
    alter("cleanup.policy", "compact", AlterConfigOpType.APPEND)
    out["append"] = value("cleanup.policy")
    alter("cleanup.policy", "compact", AlterConfigOpType.SUBTRACT)
    out["bad"] = attempt(lambda: alter("retention.ms", "soon", AlterConfigOpType.SET))
    out["deleted"] = only(admin.delete_records([TopicPartition(topic, 0, 4)])).low_watermark
    out["beyond"] = attempt(lambda: only(admin.delete_records([TopicPartition(topic, 0, 11)])))
    election = admin.elect_leaders(confluent_kafka.ElectionType.PREFERRED, [TopicPartition(topic, 0)])
    out["election"] = next(iter(election.result(20).values())).code()
    return out


if __name__ == "__main__":
    work = {"kafka": by_kafka, "confluent": by_confluent}[sys.argv[1]]
    print(json.dumps(work(*sys.argv[2:])))
