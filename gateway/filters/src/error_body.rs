//! Bodies for the replies that the gateway makes itself, by status (kind `EdgePolicy`, `errorBodies`).

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use portcullis_message::Reply;

/// What a client is shown with one status, or with a range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    /// The first status that it is for.
    pub from: u16,
    /// The last one.
    pub to: u16,
    /// `contentType`, `text/html` unless said otherwise.
    pub content_type: HeaderValue,
    /// What is shown.
    pub body: Bytes,
}

/// Gives a reply of the gateway's own the body that is written for its status: the first that fits.
pub fn show_error_body(bodies: &[ErrorBody], reply: &mut Reply) {
    let status = reply.status.as_u16();
    let fits = |body: &&ErrorBody| (body.from..=body.to).contains(&status);
    if let Some(found) = bodies.iter().find(fits) {
        reply.headers.insert(CONTENT_TYPE, found.content_type.clone());
        reply.body = found.body.clone();
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn the_first_that_fits_is_shown() {
        let body = |from, to, text: &'static str| ErrorBody {
            from,
            to,
            content_type: HeaderValue::from_static("text/html"),
            body: Bytes::from_static(text.as_bytes()),
        };
        let bodies = [body(503, 503, "busy"), body(500, 599, "broken")];
        for (status, shown, content_type) in
            [(503, "busy", "text/html"), (500, "broken", "text/html"), (404, "none", "text/plain")]
        {
            let mut reply = Reply::text(StatusCode::from_u16(status).unwrap(), "none");
            show_error_body(&bodies, &mut reply);
            assert_eq!(reply.body, shown);
            assert_eq!(reply.headers[CONTENT_TYPE], content_type);
        }
    }
}
