//! gRPC at the mock host.

use super::super::{GrpcAnswer, Host};
use super::Told::*;
use super::{CONTINUE, Module, millis};
use crate::abi::{BufferKind, End, MapKind};
use crate::{HostError, host};

fn unary(cluster: &str, timeout_ms: u32) -> u32 {
    let metadata: [(&str, &[u8]); 1] = [("x-key", b"1")];
    host::grpc_call(cluster, "shop.Auth", "Check", &metadata, b"ask", timeout_ms).unwrap()
}

#[test]
fn a_unary_call_ends_with_a_message_or_a_status() {
    let host = Host::new();
    host.answer_grpc("auth", |call| {
        assert_eq!(
            (call.service(), call.method(), call.message()),
            ("shop.Auth", "Check", &b"ask"[..])
        );
        assert_eq!(call.metadata("x-key"), Some("1"));
        GrpcAnswer::message("yes")
    });
    host.answer_grpc("down", |_| GrpcAnswer::failure(14, "unavailable").after(millis(5)));
    host.answer_grpc("silent", |_| GrpcAnswer::silence());
    let module = Module::start(|told| {
        match told {
            RequestHeaders(..) => {
                unary("auth", 0);
                unary("down", 10);
                unary("silent", 10);
                unary("silent", 0);
            }
            GrpcMessage(_, 3) => {
                assert_eq!(host::buffer(BufferKind::GrpcMessage, 0, 3).unwrap(), b"yes");
            }
            GrpcClose(_, 14) => {
                assert_eq!(host::call_status().unwrap(), (14, b"unavailable".to_vec()));
            }
            _ => {}
        }
        CONTINUE
    });
    let exchange = module.request().send();
    host.advance(millis(100));
    let told = module.told();
    assert!(matches!(
        told[..],
        [RequestHeaders(..), GrpcMessage(..), GrpcClose(_, 14), GrpcClose(_, 4)]
    ));
    assert_eq!(host.grpc_calls().len(), 4);
    drop(exchange);
}

#[test]
fn a_stream_is_answered_message_by_message() {
    let host = Host::new();
    host.answer_grpc("chat", |call| match call.message() {
        b"hello" => GrpcAnswer::message("one").then("two").initial_metadata("a", "1"),
        _ => GrpcAnswer::message("bye").trailing_metadata("b", "2").close(0, ""),
    });
    let module = Module::start(|told| {
        match told {
            RequestHeaders(..) => {
                let id = host::grpc_stream("chat", "shop.Chat", "Talk", &[]).unwrap();
                host::grpc_send(id, b"hello", End::More).unwrap();
                host::grpc_send(id, b"end", End::Last).unwrap();
            }
            GrpcInitialMetadata(_, 1) => {
                assert_eq!(
                    host::header_value(MapKind::GrpcInitialMetadata, "a"),
                    Ok(Some(b"1".to_vec()))
                );
            }
            GrpcTrailingMetadata(_, 1) => {
                assert_eq!(
                    host::header_value(MapKind::GrpcTrailingMetadata, "b"),
                    Ok(Some(b"2".to_vec()))
                );
            }
            GrpcClose(id, 0) => assert!(host::grpc_send(id, b"more", End::More).is_err()),
            _ => {}
        }
        CONTINUE
    });
    let exchange = module.request().send();
    assert!(matches!(
        module.told()[..],
        [
            RequestHeaders(..),
            GrpcInitialMetadata(..),
            GrpcMessage(_, 3),
            GrpcMessage(_, 3),
            GrpcMessage(..),
            GrpcTrailingMetadata(..),
            GrpcClose(_, 0)
        ]
    ));
    drop(exchange);
}

#[test]
fn a_cancelled_call_is_not_heard_of_again() {
    let host = Host::new();
    host.answer_grpc("auth", |_| GrpcAnswer::message("yes").after(millis(5)));
    let module = Module::start(|told| {
        if let RequestHeaders(..) = told {
            host::grpc_cancel(unary("auth", 0)).unwrap();
        }
        CONTINUE
    });
    let exchange = module.request().send();
    host.advance(millis(10));
    assert!(matches!(module.told()[..], [RequestHeaders(..)]));
    drop(exchange);
}

#[test]
fn an_unknown_cluster_is_a_parse_failure_as_in_envoy() {
    Host::new();
    let refused = host::grpc_call("unknown", "s", "m", &[], b"", 0).unwrap_err();
    assert_eq!(refused.status(), HostError::PARSE_FAILURE);
    let refused = host::grpc_stream("unknown", "s", "m", &[]).unwrap_err();
    assert_eq!(refused.status(), HostError::PARSE_FAILURE);
}
