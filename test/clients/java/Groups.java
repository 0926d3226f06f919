// SPDX-License-Identifier: MIT

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group, and the administration of groups (session.py tells the protocol). */
final class Groups implements ConsumerRebalanceListener {
    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final boolean gradual;
    private final Set<Integer> owned = new TreeSet<>();
    private final Map<Integer, Long> next = new TreeMap<>();

    private Groups(String bootstrap, JsonNode ask) {
        boolean model = ask.path("model").asText("classic").equals("consumer");
        boolean sticky = ask.path("assignor").asText("range").equals("cooperative-sticky");
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("group.id", ask.get("group").asText());
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", ask.path("auto_ms").asInt(0) > 0);
        config.put("auto.commit.interval.ms", Math.max(ask.path("auto_ms").asInt(0), 1));
        config.put("fetch.max.wait.ms", 100);
        config.put("reconnect.backoff.max.ms", 200);
        if (ask.hasNonNull("instance")) {
            config.put("group.instance.id", ask.get("instance").asText());
        }
        if (model) {
            config.put("group.protocol", "consumer");
        } else {
            config.put("session.timeout.ms", ask.get("session_ms").asInt());
            config.put("heartbeat.interval.ms", ask.get("heartbeat_ms").asInt());
            config.put("partition.assignment.strategy",
                ASSIGNORS + (sticky ? "CooperativeStickyAssignor" : "RangeAssignor"));
        }
        gradual = model || sticky;
        consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    // ---- What it owns ------------------------------------------------------------------------
    private void owns(String why) {
        ObjectNode line = Client.object().put("event", "owns").put("why", why).put("at_us", Client.nowUs());
        owned.forEach(line.putArray("partitions")::add);
        next.keySet().retainAll(owned);
        line.put("generation", consumer.groupMetadata().generationId());
        line.put("member", consumer.groupMetadata().memberId());
        Client.say(line);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        if (!gradual) {
            owned.clear();
        }
        partitions.forEach(tp -> owned.add(tp.partition()));
        owns("assigned");
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        partitions.forEach(tp -> owned.remove(tp.partition()));
        owns("revoked");
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        partitions.forEach(tp -> owned.remove(tp.partition()));
        owns("lost");
    }

    // ---- What it does ------------------------------------------------------------------------
    private void take() {
        ArrayNode pairs = Client.object().putArray("records");
        for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(100))) {
            pairs.addArray().add(r.partition()).add(r.offset());
            next.put(r.partition(), r.offset() + 1);
        }
        if (!pairs.isEmpty()) {
            ObjectNode line = Client.object().put("event", "got");
            line.set("records", pairs);
            Client.say(line);
        }
    }

    private void commit(String topic, JsonNode metadata) {
        String note = metadata == null || metadata.isNull() ? "" : metadata.asText();
        Map<TopicPartition, OffsetAndMetadata> rows = new HashMap<>();
        ObjectNode line = Client.object();
        ObjectNode offsets = line.putObject("offsets");
        next.forEach((p, o) -> {
            rows.put(new TopicPartition(topic, p), new OffsetAndMetadata(o, note));
            offsets.put(String.valueOf(p), o);
        });
        try {
            consumer.commitSync(rows);
            Client.say(line.put("event", "committed").put("at_us", Client.nowUs()));
        } catch (RuntimeException e) {
            Client.say(line.put("event", "refused").put("why", e.toString()));
        }
    }

    static ObjectNode join(String bootstrap, JsonNode ask, BufferedReader in) throws Exception {
        Groups member = new Groups(bootstrap, ask);
        String topic = ask.get("topic").asText();
        member.consumer.subscribe(List.of(topic), member);
        Client.say(Client.object().put("event", "here"));
        for (;;) {
            member.take();
            if (!in.ready()) {
                continue;
            }
            JsonNode order = Client.JSON.readTree(in.readLine());
            if (order.get("op").asText().equals("leave")) {
                break;
            }
            member.commit(topic, order.get("metadata"));
        }
        member.consumer.close();
        return Client.object();
    }

    // ---- Administration ----------------------------------------------------------------------
    static ObjectNode groups(Admin admin) throws Exception {
        ObjectNode out = Client.object();
        ObjectNode states = out.putObject("groups");
        admin.listConsumerGroups().all().get()
            .forEach(g -> states.put(g.groupId(), g.state().map(Object::toString).orElse("")));
        return out;
    }

    static ObjectNode group(Admin admin, String name) throws Exception {
        ConsumerGroupDescription told = admin.describeConsumerGroups(List.of(name)).all().get().get(name);
        ObjectNode out = Client.object().put("state", told.state().toString());
        ArrayNode members = out.putArray("members");
        told.members().forEach(m -> {
            ObjectNode row = members.addObject().put("id", m.consumerId()).put("client", m.clientId());
            row.put("instance", m.groupInstanceId().orElse(null));
            ArrayNode partitions = row.putArray("partitions");
            m.assignment().topicPartitions().forEach(tp -> partitions.add(tp.partition()));
        });
        return out;
    }

    static ObjectNode offsets(Admin admin, JsonNode ask) throws Exception {
        ObjectNode out = Client.object();
        ObjectNode rows = out.putObject("offsets");
        admin.listConsumerGroupOffsets(ask.get("group").asText()).partitionsToOffsetAndMetadata().get()
            .forEach((tp, o) -> rows.putArray(String.valueOf(tp.partition())).add(o.offset()).add(o.metadata()));
        return out;
    }

    private static Map<TopicPartition, OffsetAndMetadata> rows(JsonNode ask) {
        Map<TopicPartition, OffsetAndMetadata> rows = new HashMap<>();
        ask.get("offsets").fields().forEachRemaining(e -> rows.put(
            new TopicPartition(ask.get("topic").asText(), Integer.parseInt(e.getKey())),
            new OffsetAndMetadata(e.getValue().asLong())));
        return rows;
    }

    static ObjectNode setOffsets(Admin admin, JsonNode ask) throws Exception {
        admin.alterConsumerGroupOffsets(ask.get("group").asText(), rows(ask)).all().get();
        return Client.object();
    }

    static ObjectNode forget(Admin admin, JsonNode ask) throws Exception {
        admin.deleteConsumerGroupOffsets(ask.get("group").asText(), rows(ask).keySet()).all().get();
        return Client.object();
    }

    static ObjectNode deleteGroup(Admin admin, JsonNode ask) throws Exception {
        admin.deleteConsumerGroups(List.of(ask.get("group").asText())).all().get();
        return Client.object();
    }
}
