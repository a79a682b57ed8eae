import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Answers with what the virtual machine believes its limits to be, and takes memory when told so. */
public final class Service {
    private static final long MIB = 1L << 20;

    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.createContext("/health", exchange -> answer(exchange, 200, "well"));
        server.createContext("/limits", exchange -> answer(exchange, 200, limits()));
        server.createContext("/fill", exchange -> answer(exchange, 200, "full after " + fill() + " MiB"));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.stop(0);
            System.out.println("service: ended in order");
        }));
        server.start();
        System.out.println("service: listening, " + limits());
    }

    private static String limits() {
        Runtime runtime = Runtime.getRuntime();
        return "heap " + runtime.maxMemory() / MIB + " MiB, processors " + runtime.availableProcessors();
    }

    /** Takes all of the heap that there is, and lets go of it. */
    private static int fill() {
        List<byte[]> taken = new ArrayList<>();
        try {
            while (true) {
                taken.add(new byte[(int) MIB]);
            }
        } catch (OutOfMemoryError full) {
            int count = taken.size();
            taken.clear();
            return count;
        }
    }

    private static void answer(HttpExchange exchange, int status, String text) throws IOException {
        byte[] body = (text + "\n").getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
