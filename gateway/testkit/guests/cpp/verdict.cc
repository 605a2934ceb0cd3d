// What real filters do, in C++; the same as examples/verdict.rs, where it is written down. In ABI 0.2.0, with `malloc`.
#include <cctype>
#include <cstring>
#include <map>

#include "host.h"

static std::string task, cluster;
// By context.
static std::map<uint32_t, std::string> paths;
// The context that awaits a call.
static std::map<uint32_t, uint32_t> awaiting;

GUEST(proxy_abi_version_0_2_0) void abi_version() {}
GUEST(proxy_on_vm_start) uint32_t on_vm_start(uint32_t, uint32_t) { return 1; }
GUEST(proxy_on_context_create) void on_context_create(uint32_t, uint32_t) {}

GUEST(proxy_on_configure) uint32_t on_configure(uint32_t, uint32_t size) {
    task = buffer(Configuration, 0, size);
    if (auto blank = task.find(' '); blank != std::string::npos) {
        cluster = task.substr(blank + 1);
        task.resize(blank);
    }
    return 1;
}

static Action ask(uint32_t context) {
    auto head = encode({{":method", "GET"}, {":path", header(RequestHeaders, "x-ask")}, {":authority", "auth.example"}});
    uint32_t call = 0;
    if (proxy_http_call(cluster.data(), cluster.size(), head.data(), head.size(), nullptr, 0, nullptr, 0, 5000, &call) == Ok) {
        awaiting[call] = context;
    } else {
        local_response(500, "no such cluster");
    }
    return Hold;
}

GUEST(proxy_on_request_headers) uint32_t on_request_headers(uint32_t context, uint32_t, uint32_t) {
    paths[context] = header(RequestHeaders, ":path");
    if (task == "header") must(proxy_add_header_map_value(RequestHeaders, "x-guest", 7, "cpp", 3));
    if (task == "body") must(proxy_remove_header_map_value(RequestHeaders, "content-length", 14));
    return task == "call" ? ask(context) : GoOn;
}

GUEST(proxy_on_http_call_response) void on_http_call_response(uint32_t, uint32_t call, uint32_t, uint32_t, uint32_t) {
    auto found = awaiting.find(call);
    if (found == awaiting.end()) return;
    auto status = header(ReplyHeaders, ":status"), user = header(ReplyHeaders, "x-upstream");
    must(proxy_set_effective_context(found->second));
    awaiting.erase(found);
    if (status == "200") {
        must(proxy_replace_header_map_value(RequestHeaders, "x-user", 6, user.data(), user.size()));
        must(proxy_continue_stream(0));
    } else {
        local_response(403, "denied: " + status);
    }
}

GUEST(proxy_on_request_body) uint32_t on_request_body(uint32_t, uint32_t size, uint32_t end) {
    if (task != "body") return GoOn;
    if (!end) return Hold;
    auto body = buffer(RequestBody, 0, size);
    for (char& byte : body) byte = std::toupper(byte);
    must(proxy_set_buffer_bytes(RequestBody, 0, size, body.data(), body.size()));
    return GoOn;
}

static uint64_t count() {
    for (;;) {
        char* data = nullptr;
        size_t length = 0;
        uint32_t cas = 0;
        uint64_t number = 0;
        if (proxy_get_shared_data("count", 5, &data, &length, &cas) == Ok && length == sizeof number) {
            memcpy(&number, data, length);
        }
        free(data);
        number++;
        auto status = proxy_set_shared_data("count", 5, reinterpret_cast<char*>(&number), sizeof number, cas);
        if (status == Ok) return number;
        if (status != CasMismatch) __builtin_trap();
    }
}

GUEST(proxy_on_response_headers) uint32_t on_response_headers(uint32_t context, uint32_t, uint32_t) {
    auto add = [](std::string_view name, const std::string& value) {
        must(proxy_add_header_map_value(ResponseHeaders, name.data(), name.size(), value.data(), value.size()));
    };
    if (task == "header") add("x-guest-path", paths[context]);
    if (task == "body") must(proxy_remove_header_map_value(ResponseHeaders, "content-length", 14));
    if (task == "shared") add("x-count", std::to_string(count()));
    return GoOn;
}

GUEST(proxy_on_response_body) uint32_t on_response_body(uint32_t, uint32_t size, uint32_t end) {
    if (task == "body" && end) must(proxy_set_buffer_bytes(ResponseBody, size, 0, "!", 1));
    return GoOn;
}

GUEST(proxy_on_done) uint32_t on_done(uint32_t) { return 1; }
GUEST(proxy_on_delete) void on_delete(uint32_t context) { paths.erase(context); }
