// A gRPC server that does nothing but gRPC: whatever unary method is called, the
// response is the message in a file. On gRPC's own C++ library, with one thread and
// one completion queue, no server that does more can serve more calls on a core.
//
//     ceiling REPLY_FILE
//
// It listens on a free port of 127.0.0.1 and says which.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <fstream>
#include <iostream>
#include <sstream>

using grpc::ByteBuffer;

// How many calls may arrive before the loop has seen the first.
constexpr int kAwaited = 1024;

struct Server {
  grpc::AsyncGenericService service;
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  ByteBuffer response;
};

// A call that is awaited, read, completed and deleted, in this order.
class Exchange {
 public:
  explicit Exchange(Server& server) : server_(server), stream_(&context_) {
    server_.service.RequestCall(&context_, &stream_, server_.queue.get(), server_.queue.get(), this);
  }

  // Takes the next step; `ok` is false when the last one failed.
  void Next(bool ok) {
    if (state_ == State::kAwaited && ok) {
      new Exchange(server_);
      state_ = State::kRead;
      stream_.Read(&request_, this);
    } else if (state_ == State::kRead && ok) {
      state_ = State::kAnswered;
      stream_.WriteAndFinish(server_.response, grpc::WriteOptions(), grpc::Status::OK, this);
    } else {
      delete this;
    }
  }

 private:
  enum class State { kAwaited, kRead, kAnswered };

  Server& server_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_;
  ByteBuffer request_;
  State state_ = State::kAwaited;
};

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: ceiling REPLY_FILE\n";
    return 2;
  }
  std::ostringstream message;
  message << std::ifstream(arguments[1], std::ios::binary).rdbuf();
  grpc::Slice slice(message.str());

  Server server;
  server.response = ByteBuffer(&slice, 1);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);  // large calls too, beside which small ones are measured
  builder.RegisterAsyncGenericService(&server.service);
  server.queue = builder.AddCompletionQueue();
  auto running = builder.BuildAndStart();
  if (!running) return 1;
  for (int i = 0; i < kAwaited; ++i) new Exchange(server);
  std::cout << "ceiling ready on 127.0.0.1:" << port << std::endl;

  void* exchange;
  bool ok;
  while (server.queue->Next(&exchange, &ok)) static_cast<Exchange*>(exchange)->Next(ok);
}
