//! What a request's token costs: verified anew, by each kind of key, and known from a moment ago; and a request without.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot begin should say why")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use portcullis_exchange::Exchange;
use portcullis_filters::{
    JwtRule, KeySource, NumberedKeys, OriginalToken, RequestAuthentication, TokenCache,
};
use portcullis_testkit::{Signer, TOKEN_ISSUER};

fn jwt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("jwt");
    for signer in Signer::all() {
        if !matches!(signer.algorithm, "HS256" | "RS256" | "PS256" | "ES256" | "EdDSA") {
            continue;
        }
        let (filter, exchange) = scene(&signer);
        group.bench_function(BenchmarkId::new("verified", signer.algorithm), |bencher| {
            bencher.iter_batched(
                || (exchange(), TokenCache::default()),
                |(mut exchange, mut cache)| {
                    filter.authenticate(black_box(&mut exchange), &mut cache).unwrap();
                    (exchange, cache)
                },
                BatchSize::SmallInput,
            );
        });
    }
    let known = Signer::ecdsa_p256("one");
    let (filter, exchange) = scene(&known);
    let mut cache = TokenCache::default();
    group.bench_function("known", |bencher| {
        bencher.iter_batched_ref(
            &exchange,
            |exchange| filter.authenticate(black_box(exchange), &mut cache).unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("none", |bencher| {
        let mut exchange = Exchange::for_test();
        bencher.iter(|| filter.authenticate(black_box(&mut exchange), &mut cache).unwrap());
    });
    group.finish();
}

/// A filter with one rule, and requests with a token of about the size that identity providers make.
fn scene(signer: &Signer) -> (RequestAuthentication, impl Fn() -> Exchange + use<>) {
    let keys = NumberedKeys::parse(signer.key_set().as_bytes()).unwrap();
    let rule = JwtRule {
        original: OriginalToken::Kept,
        ..JwtRule::for_test(TOKEN_ISSUER, &signer.key_set())
    };
    let filter = RequestAuthentication::new(vec![(rule, KeySource::Inline(Arc::new(keys)))]);
    let groups: Vec<String> = (0..20).map(|nth| format!("\"group-{nth}\"")).collect();
    let token = signer.token(&format!(
        r#"{{"iss":"{TOKEN_ISSUER}","sub":"ann","aud":["shop","web"],"exp":9999999999,"nbf":1,"iat":1,"scope":"read write","email":"ann@example.com","groups":[{}]}}"#,
        groups.join(",")
    ));
    let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let exchange = move || {
        let mut exchange = Exchange::for_test();
        exchange.request.headers.insert(AUTHORIZATION, value.clone());
        exchange
    };
    (filter, exchange)
}

criterion_group!(benches, jwt);
criterion_main!(benches);
