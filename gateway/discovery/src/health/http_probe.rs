//! Asking over HTTP/1.

use bytes::BytesMut;
use http::header::{HOST, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Uri};
use portcullis_message::http1::{Framing, HeadReader, Limits, write_request_head};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Who asks.
pub(crate) const ASKER: HeaderValue = HeaderValue::from_static("portcullis-health-check");
/// Interim replies before the one that counts.
const MOST_INTERIM: usize = 8;

/// Whether `GET path` is answered with 2xx. The body is not read, and the connection not used again.
pub(crate) async fn ask_http1<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    path: &str,
    host: &str,
) -> Result<(), String> {
    let request = request(path, host)?;
    stream.write_all(&request).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    let (mut reader, mut buffer) = (HeadReader::default(), BytesMut::new());
    let mut interim = 0;
    loop {
        let head = reader.reply(&mut buffer, &Method::GET, &Limits::REPLY);
        match head.map_err(|error| error.to_string())?.map(|head| head.response.status()) {
            Some(status) if status.is_informational() && interim < MOST_INTERIM => interim += 1,
            Some(status) => return judge(status),
            None => {
                let read = stream.read_buf(&mut buffer).await;
                if read.map_err(|error| error.to_string())? == 0 {
                    return Err("closed without an answer".to_owned());
                }
            }
        }
    }
}

/// 2xx is good.
pub(crate) fn judge(status: StatusCode) -> Result<(), String> {
    if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
}

fn request(path: &str, host: &str) -> Result<BytesMut, String> {
    let target: Uri = path.parse().map_err(|_| format!("`{path}` is no path"))?;
    let host = HeaderValue::from_str(host).map_err(|_| format!("`{host}` is no host"))?;
    let headers = HeaderMap::from_iter([(HOST, host), (USER_AGENT, ASKER)]);
    let mut out = BytesMut::new();
    write_request_head(&mut out, &Method::GET, &target, &headers, Framing::Empty);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of asking somebody who answers with these bytes and closes.
    async fn answered(reply: &'static [u8]) -> Result<(), String> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let answering = async {
            let mut request = [0; 512];
            let length = theirs.read(&mut request).await.unwrap();
            assert!(
                request[..length].starts_with(b"GET /healthz?a HTTP/1.1\r\nhost: shop.example\r\n")
            );
            theirs.write_all(reply).await.unwrap();
            drop(theirs);
        };
        tokio::join!(ask_http1(ours, "/healthz?a", "shop.example"), answering).0
    }

    #[tokio::test]
    async fn two_hundreds_are_good_and_nothing_else() {
        assert_eq!(answered(b"HTTP/1.1 204 No Content\r\n\r\n").await, Ok(()));
        let interim =
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
        assert_eq!(answered(interim).await, Ok(()));
        let moved = b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(answered(moved).await, Err("status 302".to_owned()));
        assert!(answered(b"HTTP/1.1 200").await.unwrap_err().contains("closed"));
        assert!(answered(b"SSH-2.0-x\r\n\r\n").await.is_err());
        let endless = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20).leak();
        assert_eq!(answered(endless.as_bytes()).await, Err("status 103".to_owned()));
        assert!(ask_http1(tokio::io::empty(), "/a b", "x").await.is_err());
    }
}
