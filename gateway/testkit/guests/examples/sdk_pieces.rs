//! Bodies piece by piece, on the SDK: every byte of a request is doubled, and of a response with `x-double`.
//!
//! The request's `x-do` may be `wait`: then each piece is held for a while. `forbidden` in a piece is 422.

use std::time::Duration;

use portcullis_sdk::prelude::*;

#[derive(Default)]
struct Pieces;

#[filter]
impl Filter for Pieces {
    type RequestBody = Chunks;
    type ResponseBody = Chunks;

    async fn request(&self, request: &mut Request<Chunks>, _: &mut ()) -> Result<Flow, Error> {
        let waits = request.headers().first("x-do").as_deref() == Some(b"wait");
        while let Some(mut chunk) = request.next_chunk().await? {
            if chunk.bytes().starts_with(b"forbidden") {
                return Ok(Reply::new(422).body("a word that is not said\n").into());
            }
            if waits {
                sleep(Duration::from_millis(5)).await;
            }
            chunk.replace(doubled(chunk.bytes()))?;
        }
        if let Some(trailers) = request.trailers() {
            trailers.set("x-seen", "1")?;
        }
        Ok(Flow::Continue)
    }

    async fn response(&self, response: &mut Response<Chunks>, _: &mut ()) -> Result<Flow, Error> {
        if response.headers().first("x-double").is_none() {
            return Ok(Flow::Continue);
        }
        while let Some(mut chunk) = response.next_chunk().await? {
            chunk.replace(doubled(chunk.bytes()))?;
        }
        Ok(Flow::Continue)
    }
}

fn doubled(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [*byte, *byte]).collect()
}
