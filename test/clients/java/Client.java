// SPDX-License-Identifier: MIT
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/** Apache's own Java client in the matrix of clients; session.py tells the protocol. */
public final class Client {
    static final ObjectMapper JSON = new ObjectMapper();
    private static final int LIMIT_MS = 20000;
    private static final int RUN_LIMIT_MS = 60000;
    private final String bootstrap;

    private Client(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    // ---- The protocol ------------------------------------------------------------------------
    static void say(JsonNode line) {
        System.out.println(line);
        System.out.flush();
    }

    static ObjectNode object() {
        return JSON.createObjectNode();
    }

    static long nowUs() {
        Instant now = Instant.now();
        return now.getEpochSecond() * 1000000 + now.getNano() / 1000;
    }

    private static byte[] unhex(JsonNode text) {
        return text == null || text.isNull() ? null : HexFormat.of().parseHex(text.asText());
    }

    private static String hexed(byte[] data) {
        return data == null ? null : HexFormat.of().formatHex(data);
    }

    /** What an administrator of groups is asked; null when it is something else. */
    private ObjectNode administer(JsonNode ask) throws Exception {
        try (Admin admin = admin()) {
            switch (ask.get("op").asText()) {
                case "groups":
                    return Groups.groups(admin);
                case "group":
                    return Groups.group(admin, ask.get("group").asText());
                case "offsets":
                    return Groups.offsets(admin, ask);
                case "set_offsets":
                    return Groups.setOffsets(admin, ask);
                case "forget":
                    return Groups.forget(admin, ask);
                case "delete_group":
                    return Groups.deleteGroup(admin, ask);
                default:
                    return object().put("error", "no such request");
            }
        }
    }

    private ObjectNode answer(JsonNode ask, BufferedReader in) throws Exception {
        switch (ask.get("op").asText()) {
            case "hello":
                return hello();
            case "metadata":
                return metadata();
            case "create":
                return create(ask);
            case "grow":
                return grow(ask);
            case "produce":
                return produce(ask);
            case "run":
                return run(ask);
            case "consume":
                return consume(ask);
            case "follow":
                return follow(ask);
            case "join":
                return Groups.join(bootstrap, ask, in);
            default:
                return administer(ask);
        }
    }

    public static void main(String[] args) throws Exception {
        Client client = new Client(args[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                say(client.answer(JSON.readTree(line), in));
            } catch (Exception e) {
                e.printStackTrace();
                Throwable why = e instanceof ExecutionException ? e.getCause() : e;
                say(object().put("error", why.toString()));
            }
        }
    }

    // ---- Metadata and topics -----------------------------------------------------------------
    private static ObjectNode hello() {
        ObjectNode out = object().put("name", "java").put("version", AppInfoParser.getVersion());
        out.put("hash", "murmur2").putObject("lacks");
        out.putArray("codecs").add("none").add("gzip").add("snappy").add("lz4").add("zstd");
        return out;
    }

    private Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", LIMIT_MS,
            "request.timeout.ms", LIMIT_MS));
    }

    private ObjectNode metadata() throws Exception {
        try (Admin admin = admin()) {
            ObjectNode out = object();
            ArrayNode brokers = out.putArray("brokers");
            for (Node node : admin.describeCluster().nodes().get()) {
                brokers.addArray().add(node.id()).add(node.host() + ":" + node.port());
            }
            out.put("controller", admin.describeCluster().controller().get().id());
            out.put("cluster", admin.describeCluster().clusterId().get());
            ObjectNode topics = out.putObject("topics");
            admin.describeTopics(admin.listTopics().names().get()).allTopicNames().get()
                .forEach((name, topic) -> topics.put(name, topic.partitions().size()));
            return out;
        }
    }

    private ObjectNode create(JsonNode ask) throws Exception {
        Map<String, String> config = new HashMap<>();
        ask.path("config").fields().forEachRemaining(e -> config.put(e.getKey(), e.getValue().asText()));
        NewTopic topic = new NewTopic(ask.get("topic").asText(), ask.get("partitions").asInt(), (short) 1);
        try (Admin admin = admin()) {
            admin.createTopics(List.of(topic.configs(config))).all().get();
            return object().put("outcome", "created");
        } catch (ExecutionException e) {
            if (e.getCause() instanceof TopicExistsException) {
                return object().put("outcome", "exists");
            }
            throw e;
        }
    }

    private ObjectNode grow(JsonNode ask) throws Exception {
        try (Admin admin = admin()) {
            NewPartitions more = NewPartitions.increaseTo(ask.get("partitions").asInt());
            admin.createPartitions(Map.of(ask.get("topic").asText(), more)).all().get();
            return object().put("outcome", "grown");
        }
    }

    // ---- Records in --------------------------------------------------------------------------
    private KafkaProducer<byte[], byte[]> producer(JsonNode ask) {
        String acks = ask.path("acks").asText("all");
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("acks", acks);
        config.put("enable.idempotence", acks.equals("all"));
        config.put("compression.type", ask.path("codec").asText("none"));
        config.put("linger.ms", ask.path("linger_ms").asInt(0));
        config.put("batch.size", 1 << 20);
        config.put("max.request.size", 8 << 20);
        config.put("delivery.timeout.ms", RUN_LIMIT_MS);
        config.put("retry.backoff.ms", 50);
        config.put("reconnect.backoff.max.ms", 200);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static ProducerRecord<byte[], byte[]> recordOf(JsonNode ask, JsonNode r) {
        List<Header> headers = new ArrayList<>();
        r.get("headers").forEach(h -> headers.add(new RecordHeader(h.get(0).asText(), unhex(h.get(1)))));
        Integer partition = ask.get("partition").isNull() ? null : (Integer) ask.get("partition").asInt();
        Long timestamp = r.get("timestamp").isNull() ? null : (Long) r.get("timestamp").asLong();
        return new ProducerRecord<>(ask.get("topic").asText(), partition, timestamp, unhex(r.get("key")),
            unhex(r.get("value")), headers);
    }

    private ObjectNode produce(JsonNode ask) throws Exception {
        boolean told = !ask.path("acks").asText("all").equals("0");
        try (KafkaProducer<byte[], byte[]> producer = producer(ask)) {
            producer.partitionsFor(ask.get("topic").asText());
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            ObjectNode out = object().put("sent_us", nowUs());
            for (JsonNode r : ask.get("records")) {
                sent.add(producer.send(recordOf(ask, r)));
            }
            ArrayNode placed = out.putArray("placed");
            for (Future<RecordMetadata> f : sent) {
                RecordMetadata m = f.get(LIMIT_MS, TimeUnit.MILLISECONDS);
                ArrayNode place = placed.addArray().add(m.partition());
                place.add(told ? (Long) m.offset() : null);
            }
            return out.put("acked_us", nowUs());
        }
    }

    private ObjectNode run(JsonNode ask) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(ask)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < ask.get("count").asInt(); i++) {
                byte[] value = ("run " + i).getBytes(StandardCharsets.UTF_8);
                sent.add(producer.send(new ProducerRecord<>(ask.get("topic").asText(), 0, null, value)));
                if (i == 0) {
                    sent.get(0).get();
                    say(object().put("event", "acked"));
                }
                TimeUnit.MICROSECONDS.sleep(ask.get("pace_us").asLong());
            }
            ObjectNode out = object();
            ArrayNode placed = out.putArray("placed");
            for (Future<RecordMetadata> f : sent) {
                placed.add(f.get(RUN_LIMIT_MS, TimeUnit.MILLISECONDS).offset());
            }
            return out;
        }
    }

    // ---- Records out -------------------------------------------------------------------------
    private KafkaConsumer<byte[], byte[]> consumer(JsonNode ask) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("enable.auto.commit", false);
        config.put("max.partition.fetch.bytes", Math.max(ask.path("partition_bytes").asInt(0), 0) > 0
            ? ask.get("partition_bytes").asInt() : 1 << 20);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static void seek(KafkaConsumer<byte[], byte[]> consumer, TopicPartition here, JsonNode from) {
        if (from.isObject()) {
            long at = from.get("time").asLong();
            consumer.seek(here, consumer.offsetsForTimes(Map.of(here, at)).get(here).offset());
        } else if (from.isNumber()) {
            consumer.seek(here, from.asLong());
        } else if (from.asText().equals("end")) {
            consumer.seekToEnd(List.of(here));
        } else {
            consumer.seekToBeginning(List.of(here));
        }
        consumer.position(here);
    }

    private static ObjectNode recordOut(ConsumerRecord<byte[], byte[]> r) {
        ObjectNode out = object().put("offset", r.offset()).put("timestamp", r.timestamp());
        out.put("key", hexed(r.key())).put("value", hexed(r.value()));
        ArrayNode headers = out.putArray("headers");
        for (Header h : r.headers()) {
            headers.addArray().add(h.key()).add(hexed(h.value()));
        }
        return out;
    }

    private void take(JsonNode ask, JsonNode from, Runnable ready,
                      Consumer<ConsumerRecord<byte[], byte[]>> got) throws TimeoutException {
        int count = ask.get("count").asInt();
        int seen = 0;
        long end = System.nanoTime() + LIMIT_MS * 1000000L;
        TopicPartition here = new TopicPartition(ask.get("topic").asText(), ask.get("partition").asInt());
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(ask)) {
            consumer.assign(List.of(here));
            seek(consumer, here, from);
            ready.run();
            while (seen < count && System.nanoTime() < end) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofSeconds(1))) {
                    if (seen++ < count) {
                        got.accept(r);
                    }
                }
            }
        }
        if (seen < count) {
            throw new TimeoutException(seen + " of " + count + " records came");
        }
    }

    private ObjectNode consume(JsonNode ask) throws TimeoutException {
        ObjectNode out = object();
        ArrayNode records = out.putArray("records");
        take(ask, ask.get("from"), () -> { }, r -> records.add(recordOut(r)));
        return out;
    }

    private ObjectNode follow(JsonNode ask) throws TimeoutException {
        take(ask, JSON.getNodeFactory().textNode("end"), () -> say(object().put("event", "ready")), r -> {
            ObjectNode line = object().put("event", "got").put("at_us", nowUs());
            line.set("record", recordOut(r));
            say(line);
        });
        return object();
    }
}
