//! What a load balancer may ask for on a traffic port: the reserved health paths, and their replies.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};

use crate::Body;

/// Ready or not, over any version of HTTP.
const READY: &str = "/.portcullis/healthz/ready";
/// gRPC's own health check (`grpc.health.v1`).
const GRPC_CHECK: &str = "/grpc.health.v1.Health/Check";
/// The same as a stream.
const GRPC_WATCH: &str = "/grpc.health.v1.Health/Watch";
/// What an ALB calls in a gRPC target group unless told otherwise.
const ALB_GRPC: &str = "/AWS.ALB/healthcheck";

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// `HealthCheckResponse { status: SERVING }` and `NOT_SERVING`: not compressed, two bytes, field 1 as a number.
const SERVING: &[u8] = b"\0\0\0\0\x02\x08\x01";
const NOT_SERVING: &[u8] = b"\0\0\0\0\x02\x08\x02";

/// A reserved path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthPath {
    /// `/.portcullis/healthz/ready`
    Ready,
    /// `/grpc.health.v1.Health/Check`
    GrpcCheck,
    /// `/grpc.health.v1.Health/Watch`
    GrpcWatch,
    /// `/AWS.ALB/healthcheck`
    AlbGrpc,
}

/// Whether traffic should be sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It should.
    Serving,
    /// It should not, for this reason.
    NotServing(&'static str),
}

impl HealthPath {
    /// The reserved path that this is, without its query. The paths of gRPC are reserved for gRPC alone, which has
    /// to be looked at by the caller ([`HealthPath::is_grpc`]).
    ///
    /// This is asked of every request: one byte tells nearly all of them apart.
    pub fn of(path: &str) -> Option<Self> {
        let (reserved, which) = match path.as_bytes().get(1)? {
            b'.' => (READY, HealthPath::Ready),
            b'A' => (ALB_GRPC, HealthPath::AlbGrpc),
            b'g' if path.ends_with("/Check") => (GRPC_CHECK, HealthPath::GrpcCheck),
            b'g' => (GRPC_WATCH, HealthPath::GrpcWatch),
            _ => return None,
        };
        (path == reserved).then_some(which)
    }

    /// Whether only a gRPC call may ask for it.
    pub fn is_grpc(self) -> bool {
        self != HealthPath::Ready
    }

    /// The reply, whatever service a gRPC call asks about: there is one gateway here.
    pub fn reply(self, method: &Method, health: Health) -> Response<Body> {
        match (self, health) {
            (HealthPath::Ready, _) => ready(method, health),
            _ if *method != Method::POST => grpc_status("12"),
            (HealthPath::GrpcCheck, Health::Serving) => check(SERVING),
            (HealthPath::GrpcCheck, Health::NotServing(_)) => check(NOT_SERVING),
            // To clients that is "no health to watch". A stream would have to be held open through a drain.
            (HealthPath::GrpcWatch, _) => grpc_status("12"),
            // Nobody has that method: UNIMPLEMENTED is what an ALB takes for healthy unless told otherwise.
            (HealthPath::AlbGrpc, Health::Serving) => grpc_status("12"),
            (HealthPath::AlbGrpc, Health::NotServing(_)) => grpc_status("14"),
        }
    }
}

fn ready(method: &Method, health: Health) -> Response<Body> {
    let (status, text) = match health {
        _ if !matches!(*method, Method::GET | Method::HEAD) => {
            let mut reply = Response::new(Body::Empty);
            *reply.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return reply;
        }
        Health::Serving => (StatusCode::OK, "LIVE"),
        Health::NotServing(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    };
    let mut reply = Response::new(Body::from(Bytes::from_static(text.as_bytes())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    reply
}

fn check(message: &'static [u8]) -> Response<Body> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    grpc_reply(Body::Trailing(Box::new((Some(Bytes::from_static(message)), Some(trailers)))))
}

fn grpc_status(status: &'static str) -> Response<Body> {
    let mut reply = grpc_reply(Body::Empty);
    reply.headers_mut().insert(GRPC_STATUS, HeaderValue::from_static(status));
    reply
}

fn grpc_reply(body: Body) -> Response<Body> {
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_path_is_reserved() {
        for path in [READY, GRPC_CHECK, GRPC_WATCH, ALB_GRPC] {
            assert!(HealthPath::of(path).is_some(), "{path}");
            assert_eq!(HealthPath::of(&format!("{path}/")), None);
            assert_eq!(HealthPath::of(&path[..path.len() - 1]), None);
            assert_eq!(HealthPath::of(&path.to_uppercase()), None);
        }
        for path in ["", "/", "*", "/.", "/g", "/A", "/.portcullis", "/grpc.health.v1.Health/Other"]
        {
            assert_eq!(HealthPath::of(path), None, "{path}");
        }
    }

    #[test]
    fn only_a_get_tells_whether_it_is_ready() {
        let ready = |method, health| HealthPath::Ready.reply(&method, health).status().as_u16();
        assert_eq!(ready(Method::GET, Health::Serving), 200);
        assert_eq!(ready(Method::HEAD, Health::NotServing("x")), 503);
        assert_eq!(ready(Method::POST, Health::Serving), 405);
    }

    #[test]
    fn an_alb_finds_its_usual_code() {
        let code = |health| {
            let reply = HealthPath::AlbGrpc.reply(&Method::POST, health);
            reply.headers().get(GRPC_STATUS).unwrap().clone()
        };
        assert_eq!(code(Health::Serving), "12");
        assert_eq!(code(Health::NotServing("x")), "14");
    }
}
