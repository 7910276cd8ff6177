import com.dynatrace.hash4j.hashing.Hashing;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.re2j.Pattern;
import com.google.re2j.PatternSyntaxException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.ConsumerGroupPartitionAssignor;
import org.apache.kafka.coordinator.group.api.assignor.SubscribedTopicDescriber;
import org.apache.kafka.coordinator.group.api.assignor.SubscriptionType;
import org.apache.kafka.coordinator.group.assignor.RangeAssignor;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;
import org.apache.kafka.coordinator.group.modern.Assignment;
import org.apache.kafka.coordinator.group.modern.GroupSpecImpl;
import org.apache.kafka.coordinator.group.modern.MemberSubscriptionAndAssignmentImpl;

/** Asks the classes of Kafka's group coordinator: one question, in JSON, and one answer a line. */
public class GroupOracle {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        String line;
        while ((line = questions.readLine()) != null) {
            JsonNode question = JSON.readTree(line);
            Object answer = switch (question.get("ask").asText()) {
                case "assign" -> assign(question);
                case "match" -> match(question);
                case "hash" -> hash(question);
                default -> throw new IllegalArgumentException(line);
            };
            System.out.println(JSON.writeValueAsString(answer));
        }
    }

    /** The partitions of each member, by member and topic. */
    private static Object assign(JsonNode question) {
        Map<Uuid, Integer> counts = new HashMap<>();
        question.get("counts").fields().forEachRemaining(
            entry -> counts.put(Uuid.fromString(entry.getKey()), entry.getValue().asInt()));
        Map<String, MemberSubscriptionAndAssignmentImpl> members = new HashMap<>();
        Map<Uuid, Map<Integer, String>> owners = new HashMap<>();
        Set<Set<Uuid>> subscriptions = new HashSet<>();
        for (JsonNode member : question.get("members")) {
            String id = member.get("id").asText();
            Set<Uuid> topics = new HashSet<>();
            member.get("topics").forEach(topic -> topics.add(Uuid.fromString(topic.asText())));
            subscriptions.add(topics);
            Map<Uuid, Set<Integer>> owned = new HashMap<>();
            member.get("owned").fields().forEachRemaining(entry -> {
                Uuid topic = Uuid.fromString(entry.getKey());
                for (JsonNode partition : entry.getValue()) {
                    owned.computeIfAbsent(topic, key -> new HashSet<>()).add(partition.asInt());
                    owners.computeIfAbsent(topic, key -> new HashMap<>()).put(partition.asInt(), id);
                }
            });
            Optional<String> instance = Optional.ofNullable(member.get("instance").textValue());
            members.put(id, new MemberSubscriptionAndAssignmentImpl(
                Optional.empty(), instance, topics, new Assignment(owned)));
        }
        SubscriptionType type =
            subscriptions.size() > 1 ? SubscriptionType.HETEROGENEOUS : SubscriptionType.HOMOGENEOUS;
        ConsumerGroupPartitionAssignor assignor =
            question.get("assignor").asText().equals("range") ? new RangeAssignor() : new UniformAssignor();
        SubscribedTopicDescriber describer = new SubscribedTopicDescriber() {
            @Override public int numPartitions(Uuid topic) {
                return counts.getOrDefault(topic, -1);
            }

            @Override public Set<String> racksForPartition(Uuid topic, int partition) {
                return Set.of();
            }
        };
        Map<String, Map<String, List<Integer>>> answer = new HashMap<>();
        assignor.assign(new GroupSpecImpl(members, type, owners), describer).members().forEach(
            (id, assignment) -> {
                Map<String, List<Integer>> topics = new HashMap<>();
                assignment.partitions().forEach(
                    (topic, partitions) -> topics.put(topic.toString(), new ArrayList<>(partitions)));
                answer.put(id, topics);
            });
        return answer;
    }

    /** Which of the names a pattern matches as a whole; null when it is none. */
    private static Object match(JsonNode question) {
        try {
            Pattern pattern = Pattern.compile(question.get("pattern").asText());
            List<String> matched = new ArrayList<>();
            question.get("names").forEach(name -> {
                if (pattern.matcher(name.asText()).matches()) {
                    matched.add(name.asText());
                }
            });
            return matched;
        } catch (PatternSyntaxException error) {
            return null;
        }
    }

    private static Object hash(JsonNode question) {
        byte[] data = HexFormat.of().parseHex(question.get("data").asText());
        return Long.toUnsignedString(Hashing.xxh3_64().hashBytesToLong(data));
    }
}
