import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Java's own HTTP client, which offers HTTP/2 with each request over plain HTTP unless it is configured not to. */
class Infer {
    public static void main(String[] arguments) throws Exception {
        String body = "{\"inputs\":[{\"name\":\"inputs\",\"datatype\":\"FP64\",\"shape\":[1,2],\"data\":[3,5]}]}";
        HttpClient client = HttpClient.newHttpClient();
        for (int call = 0; call < 3; call++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/v2/models/article-2-hidden/infer"))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(response.statusCode() + " " + response.version() + " " + response.body());
        }
    }
}
