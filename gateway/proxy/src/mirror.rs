//! Mirrors: copies of requests that go elsewhere, whose replies nobody waits for.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::{EXPECT, HOST, HeaderValue};
use http_body::Body as _;
use portcullis_message::Body;
use portcullis_snapshot::CompiledRule;
use portcullis_telemetry::MirrorEnd;
use portcullis_upstream::{Cluster, FeedWatch, RequestBody, Spoken, draw_below};

use crate::Worker;
use crate::flight::Flight;
use crate::kept::{Kept, copy_of};

/// So many bytes of a body wait for a mirror before it is cut off.
const MOST_WAITING: usize = 256 << 10;

/// So much of a mirror's reply is read and dropped; then its connection is closed.
const MOST_READ: u64 = 1 << 20;

/// So long a mirror may take.
const LONGEST: Duration = Duration::from_secs(30);

/// Of so many requests a mirror has a part.
const ALL: u64 = 1_000_000;

/// Sends copies of a request, as it goes to its own cluster, to the mirrors of its rule. It is not held up by them, and
/// what becomes of them changes nothing of it.
pub(crate) fn send_copies(
    flight: &Flight,
    rule: &CompiledRule,
    request: &mut Request<RequestBody>,
    kept: &Kept,
) {
    if flight.exchange.upgrade.is_some() {
        return;
    }
    let drawn =
        rule.mirrors.iter().filter(|mirror| draw_below(ALL) < u64::from(mirror.parts_per_million));
    let mut recording = None;
    for mirror in drawn {
        let Some(place) = flight.worker.mirrors.take() else {
            flight.worker.settings.counts.upstream().mirrored(MirrorEnd::LeftOut);
            continue;
        };
        let recorded = recording.get_or_insert_with(|| kept.recording(request));
        let (body, watch) = match recorded {
            None => (RequestBody::new(Body::Empty), None),
            Some(recording) => {
                let (body, watch) = request.body().mirror(recording, MOST_WAITING);
                (body, Some(watch))
            }
        };
        let copy = Request::from_parts(shadow_of(request), body);
        let (worker, cluster) = (flight.worker.clone(), mirror.cluster.clone());
        tokio::task::spawn_local(async move {
            let _place = place;
            carry(&worker, &cluster, copy, watch).await;
        });
    }
}

async fn carry(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    copy: Request<RequestBody>,
    watch: Option<FeedWatch>,
) {
    let delivered = tokio::time::timeout(LONGEST, deliver(worker, cluster, copy)).await;
    let end = match delivered {
        Ok(Some(())) => MirrorEnd::Answered,
        _ if watch.is_some_and(|watch| watch.is_overrun()) => MirrorEnd::Overrun,
        _ => MirrorEnd::Failed,
    };
    worker.settings.counts.upstream().mirrored(end);
}

/// Sends a copy and drops the reply; `None` where there is none.
async fn deliver(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    copy: Request<RequestBody>,
) -> Option<()> {
    let endpoint = cluster.pick_endpoint(&[])?;
    let spoken = Spoken::for_request(cluster, &copy);
    let lease = worker.pools.checkout(cluster, &endpoint, spoken).await.ok()?;
    let mut body = lease.send(copy).await.ok()?.into_body();
    let mut read = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        read += frame.ok()?.data_ref().map_or(0, |data| data.len() as u64);
        if read > MOST_READ {
            break;
        }
    }
    Some(())
}

/// The head of a copy. As in Istio, its host says what it is.
fn shadow_of(request: &Request<RequestBody>) -> http::request::Parts {
    let mut head = copy_of(request);
    head.headers.remove(EXPECT);
    let shadow = head.headers.get(HOST).and_then(|host| shadow_host(host.to_str().ok()?));
    if let Some(shadow) = shadow {
        head.headers.insert(HOST, shadow);
    }
    head
}

/// `shop.example:80` becomes `shop.example-shadow:80`.
fn shadow_host(host: &str) -> Option<HeaderValue> {
    let port = host.rfind(':').filter(|colon| *colon > host.rfind(']').unwrap_or(0));
    let (name, port) = host.split_at_checked(port.unwrap_or(host.len()))?;
    HeaderValue::try_from(format!("{name}-shadow{port}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_copy_says_so() {
        for (host, shadow) in [
            ("shop.example", "shop.example-shadow"),
            ("shop.example:8080", "shop.example-shadow:8080"),
            ("[::1]", "[::1]-shadow"),
            ("[::1]:80", "[::1]-shadow:80"),
            ("", "-shadow"),
        ] {
            assert_eq!(shadow_host(host).unwrap(), shadow);
        }
    }
}
