import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.kafka.common.errors.InvalidMetadataException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.Readable;
import org.apache.kafka.common.requests.AbstractRequest;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.RequestHeader;

/**
 * Asks Kafka's own classes: one line of work on standard input, one line of answer on standard
 * output. Bytes are in base64.
 *
 *   message NAME VERSION BYTES    decoded: "ok BYTES JSON", the bytes as Kafka writes them again
 *   request BYTES                 a frame: "ok KEY VERSION CORRELATION_ID CLIENT_ID JSON"
 *   response BYTES BYTES          a request's frame, a response's: "ok CORRELATION_ID JSON"
 *   apis                          every API that this Kafka has, as JSON
 *   errors                        every error code, as JSON
 *
 * "unknown" is the answer where this Kafka has no such message or version, and "error TEXT" where
 * it does not accept the bytes.
 */
public final class KafkaMessages {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String MESSAGES = "org.apache.kafka.common.message.";

    public static void main(String[] arguments) throws Exception {
        BufferedReader work =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err); // where Kafka's warnings go
        for (String line = work.readLine(); line != null; line = work.readLine()) {
            answers.println(answer(line.split(" ", -1)));
        }
        answers.flush();
    }

    private static String answer(String[] words) {
        try {
            return switch (words[0]) {
                case "message" -> message(words[1], Short.parseShort(words[2]), bytes(words[3]));
                case "request" -> request(bytes(words[1]));
                case "response" -> response(bytes(words[1]), bytes(words[2]));
                case "apis" -> apis();
                case "errors" -> errors();
                default -> throw new IllegalArgumentException("no such work: " + words[0]);
            };
        } catch (Throwable failure) {
            Throwable cause =
                failure instanceof java.lang.reflect.InvocationTargetException
                    ? failure.getCause() : failure;
            return "error " + cause.toString().replace('\n', ' ');
        }
    }

    private static String message(String name, short version, ByteBuffer bytes) throws Exception {
        Class<?> kind;
        try {
            kind = Class.forName(MESSAGES + name + "Data");
        } catch (ClassNotFoundException none) {
            return "unknown";
        }
        ApiMessage known = (ApiMessage) kind.getConstructor().newInstance();
        if (version < known.lowestSupportedVersion() || version > known.highestSupportedVersion()) {
            return "unknown";
        }
        ApiMessage decoded =
            (ApiMessage) kind.getConstructor(Readable.class, short.class)
                .newInstance(new ByteBufferAccessor(bytes), version);
        if (bytes.hasRemaining()) {
            return "error " + bytes.remaining() + " bytes are left";
        }
        ByteBuffer again = MessageUtil.toByteBufferAccessor(decoded, version).buffer();
        return "ok " + text(again) + " " + json(decoded, version);
    }

    private static String request(ByteBuffer frame) throws Exception {
        RequestHeader header = RequestHeader.parse(frame);
        AbstractRequest request =
            AbstractRequest.parseRequest(
                header.apiKey(), header.apiVersion(), new ByteBufferAccessor(frame)).request;
        if (frame.hasRemaining()) {
            return "error " + frame.remaining() + " bytes are left";
        }
        String client =
            header.clientId() == null
                ? "-" : text(ByteBuffer.wrap(header.clientId().getBytes(StandardCharsets.UTF_8)));
        return "ok " + header.apiKey().id + " " + header.apiVersion() + " "
            + header.correlationId() + " " + client + " "
            + json(request.data(), header.apiVersion());
    }

    private static String response(ByteBuffer request, ByteBuffer frame) throws Exception {
        RequestHeader header = RequestHeader.parse(request);
        int correlation = frame.getInt(frame.position());
        AbstractResponse response = AbstractResponse.parseResponse(frame, header);
        if (frame.hasRemaining()) {
            return "error " + frame.remaining() + " bytes are left";
        }
        return "ok " + correlation + " " + json(response.data(), header.apiVersion());
    }

    private static String apis() {
        ArrayNode found = JSON.createArrayNode();
        for (ApiKeys api : ApiKeys.values()) {
            ObjectNode node = found.addObject();
            node.put("key", api.id);
            node.put("name", api.name);
            node.put("oldest", api.oldestVersion());
            node.put("newest", api.latestVersion(true));
            node.put("newest_stable", api.latestVersion(false));
            ArrayNode headers = node.putArray("headers");
            for (short version : api.allVersions()) {
                headers.addArray().add(api.requestHeaderVersion(version))
                    .add(api.responseHeaderVersion(version));
            }
        }
        return "ok " + found;
    }

    private static String errors() {
        ArrayNode found = JSON.createArrayNode();
        for (Errors error : Errors.values()) {
            found.addArray().add(error.code()).add(error.name())
                .add(error.exception() instanceof RetriableException)
                .add(error.exception() instanceof InvalidMetadataException);
        }
        return "ok " + found;
    }

    private static JsonNode json(ApiMessage message, short version) throws Exception {
        Class<?> kind = message.getClass();
        return (JsonNode) Class.forName(kind.getName() + "JsonConverter")
            .getMethod("write", kind, short.class).invoke(null, message, version);
    }

    private static ByteBuffer bytes(String text) {
        return ByteBuffer.wrap(Base64.getDecoder().decode(text));
    }

    private static String text(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return Base64.getEncoder().encodeToString(copy);
    }
}
