//! The request that is to be explained, as people write it: method, URL, header fields.

use std::net::IpAddr;

use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// The request to explain.
#[derive(Clone, Debug)]
pub struct RequestToExplain {
    /// Its method.
    pub method: Method,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The port of the resources, not of the socket.
    pub port: u16,
    /// Host, and port where the URL names one.
    pub authority: HeaderValue,
    /// Path and query.
    pub path: PathAndQuery,
    /// The other header fields.
    pub headers: HeaderMap,
    /// The client's address, where it is said.
    pub client: Option<IpAddr>,
}

impl RequestToExplain {
    /// A request for a URL such as `https://shop.example.com/cart`.
    ///
    /// # Errors
    /// Says what is wrong with method or URL.
    pub fn new(method: &str, url: &str) -> Result<Self, String> {
        let method = method.parse().map_err(|_| format!("`{method}` is not a method"))?;
        let uri: Uri = url
            .parse()
            .map_err(|_| format!("`{url}` is not a URL such as https://shop.example.com/cart"))?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => ("http", 80),
            Some("https") => ("https", 443),
            _ => return Err(format!("`{url}` has to begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| format!("`{url}` names no host"))?.as_str();
        Ok(RequestToExplain {
            method,
            scheme,
            port: uri.port_u16().unwrap_or(default_port),
            authority: authority.parse().map_err(|_| format!("`{authority}` is not a host"))?,
            path: uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
            headers: HeaderMap::new(),
            client: None,
        })
    }

    /// Adds a field written as `name: value`; `host` takes the place of the URL's.
    ///
    /// # Errors
    /// It is no field.
    pub fn add_field(&mut self, field: &str) -> Result<(), String> {
        let refused = || format!("`{field}` is not a header field such as `x-user: ann`");
        let (name, value) = field.split_once(':').ok_or_else(refused)?;
        self.add_header(name.trim(), value.trim()).ok_or_else(refused)
    }

    /// Adds a field; `None` where name or value is none.
    pub fn add_header(&mut self, name: &str, value: &str) -> Option<()> {
        let name: HeaderName = name.parse().ok()?;
        let value: HeaderValue = value.parse().ok()?;
        if name == http::header::HOST {
            self.authority = value;
        } else {
            self.headers.append(name, value);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_scheme_port_host_and_path() {
        let mut request = RequestToExplain::new("POST", "https://a.example/b?c").unwrap();
        assert_eq!((request.scheme, request.port), ("https", 443));
        assert_eq!(
            (&request.authority, request.path.as_str()),
            (&"a.example".parse().unwrap(), "/b?c")
        );
        request.add_field("x-a:  1 ").unwrap();
        request.add_field("Host: b.example").unwrap();
        assert_eq!(
            (&request.headers["x-a"], &request.authority),
            (&"1".parse().unwrap(), &"b.example".parse().unwrap())
        );
        assert_eq!(RequestToExplain::new("GET", "http://a:8080").unwrap().port, 8080);
    }

    #[test]
    fn what_is_no_request_is_said() {
        for (method, url) in
            [("G T", "http://a/"), ("GET", "a/b"), ("GET", "ftp://a/"), ("GET", "http:///")]
        {
            assert!(RequestToExplain::new(method, url).is_err(), "{method} {url}");
        }
        let mut request = RequestToExplain::new("GET", "http://a/").unwrap();
        for field in ["none", "a b: c", "x: \n"] {
            assert!(request.add_field(field).is_err() || field == "x: \n", "{field}");
        }
    }
}
