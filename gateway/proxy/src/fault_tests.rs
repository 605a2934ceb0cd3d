//! How long it takes until a client has its answer where upstreams break, to the millisecond: the clock goes on only where
//! something is waited for. Under load: `upstream_faults` among the integration tests.

use std::time::Duration;

use http::Method;
use portcullis_model as model;
use portcullis_upstream::{EndpointState, Offence};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::test_worker::{TestWorker, blackhole, cluster_of, on_worker, refusing, timed, well};

/// As much as an answer may take by itself.
const AT_ONCE: Duration = Duration::from_millis(10);

fn is_ejected(gateway: &TestWorker, address: std::net::SocketAddr) -> bool {
    matches!(gateway.endpoint(address).state(), EndpointState::Ejected { .. })
}

/// Fault 1: "ejected within a second" is at the first failure, and the request that finds out takes no longer.
#[test]
fn an_endpoint_that_refuses_costs_nobody_time_and_is_out_at_once() {
    on_worker(async {
        let (first, second) = (well().await, well().await);
        let (_held, refuses) = refusing();
        let gateway = TestWorker::before(cluster_of(&[first, refuses, second]), |_| {});
        let mut slowest = Duration::ZERO;
        let mut asked = 0;
        while !is_ejected(&gateway, refuses) {
            let method = if asked % 2 == 0 { Method::GET } else { Method::POST };
            let (status, took) = timed(gateway.ask(method)).await;
            assert_eq!(status.unwrap(), 200);
            slowest = slowest.max(took);
            asked += 1;
        }
        assert!(slowest <= AT_ONCE, "{slowest:?}");
        let (good, bad) = gateway.endpoint(refuses).totals();
        assert_eq!((good, bad), (0, 1));
    });
}

/// Fault 1, with none left: 503 within 50 ms.
#[test]
fn where_all_refuse_the_answer_is_there_within_50_ms() {
    on_worker(async {
        let refusing = [refusing(), refusing(), refusing()];
        let addresses = refusing.each_ref().map(|(_, address)| *address);
        let gateway = TestWorker::before(cluster_of(&addresses), |_| {});
        for nth in 0..20 {
            let method = if nth % 2 == 0 { Method::GET } else { Method::POST };
            let (status, took) = timed(gateway.ask(method)).await;
            assert_eq!(status.unwrap(), 503);
            assert!(took <= Duration::from_millis(50), "{took:?}");
        }
    });
}

/// Fault 2: retried when the connect timeout has passed, and no later; then the endpoint is out.
#[test]
fn a_blackhole_costs_the_connect_timeout_once() {
    on_worker(async {
        let (well, (_held, _queued, hole)) = (well().await, blackhole().await);
        let timeout = Duration::from_millis(700);
        let mut cluster = cluster_of(&[well, hole]);
        cluster.pool.connect_timeout = timeout;
        let gateway = TestWorker::before(cluster, |_| {});
        let mut slow = Vec::new();
        for nth in 0..20 {
            let method = if nth % 2 == 0 { Method::GET } else { Method::POST };
            let (status, took) = timed(gateway.ask(method)).await;
            assert_eq!(status.unwrap(), 200);
            if took > AT_ONCE {
                slow.push(took);
            }
        }
        // It is asked again a second after it was last found out, which none of these waits for.
        let [took] = slow[..] else { panic!("{slow:?}") };
        assert!((timeout..timeout + AT_ONCE).contains(&took), "{took:?}");
        assert!(is_ejected(&gateway, hole));
    });
}

/// Fault 6: 504 on time, to the millisecond, and the work upstream has ended then.
#[test]
fn no_head_is_504_on_time_and_the_upstream_is_let_go_of() {
    on_worker(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let timeout = Duration::from_millis(150);
        let cluster = cluster_of(&[silent.local_addr().unwrap()]);
        let gateway = TestWorker::before(cluster, |rule| rule.timeout = Some(timeout));
        for method in [Method::GET, Method::POST] {
            let (status, took) = timed(gateway.ask(method)).await;
            assert_eq!(status.unwrap(), 504);
            assert!((timeout..timeout + AT_ONCE).contains(&took), "{took:?}");
            let (mut connection, _) = silent.accept().await.unwrap();
            let mut heard = Vec::new();
            connection.read_to_end(&mut heard).await.unwrap();
            assert!(heard.starts_with(b"GET /a ") || heard.starts_with(b"POST /a "));
        }
        let endpoint = &gateway.cluster.endpoints()[0];
        assert_eq!((endpoint.active(), endpoint.connections()), (0, 0));
    });
}

/// Fault 7: an upstream that says nothing costs the stream's idle timeout and two seconds at most, since the worker looks
/// once a second; after as many as `outlierDetection` takes it is out.
#[test]
fn an_upstream_that_stalls_costs_the_idle_timeout_and_is_out() {
    on_worker(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stalls = silent.local_addr().unwrap();
        let idle = Duration::from_secs(2);
        let outliers = model::OutlierDetection {
            consecutive_gateway_errors: 2,
            max_ejection_percent: 100,
            ..model::OutlierDetection::default()
        };
        let cluster = model::Cluster { outliers: Some(outliers), ..cluster_of(&[stalls]) };
        let gateway = TestWorker::with(
            cluster,
            |_| {},
            |listener| listener.requests.stream_idle = Some(idle),
        );
        for method in [Method::POST, Method::GET] {
            assert!(!is_ejected(&gateway, stalls));
            let (status, took) = timed(gateway.ask_under_watch(method)).await;
            assert_eq!(status.unwrap(), 504);
            let at_most = idle + Duration::from_secs(2) + AT_ONCE;
            assert!((idle..at_most).contains(&took), "{took:?}");
        }
        let state = gateway.endpoint(stalls).state();
        assert!(matches!(state, EndpointState::Ejected { offence: Offence::GatewayErrors, .. }));
        // Nobody waits for it any more.
        let (status, took) = timed(gateway.ask(Method::GET)).await;
        assert_eq!(status.unwrap(), 503);
        assert!(took <= AT_ONCE, "{took:?}");
    });
}
