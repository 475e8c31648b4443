//! `http`: a version endpoint, asked directly at every address of its host.
//!
//! No redirects, no proxies and no kept connections: each would let one instance answer for another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::{Findings, Seen, reading, too_slow};
use crate::domain::CommitId;
use crate::safety::Doubt;

/// The longest body that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// A version endpoint.
struct Endpoint {
    uri: Uri,
    /// The host as it is looked up and as the certificate must name it.
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

pub(super) async fn ask(
    url: &str,
    pointer: Option<&str>,
    every_address: bool,
    limit: Duration,
    now: Timestamp,
) -> Findings {
    let endpoint = match Endpoint::parse(url) {
        Ok(endpoint) => endpoint,
        Err(doubt) => return doubt.into(),
    };
    let mut addresses = match tokio::time::timeout(limit, endpoint.addresses()).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(doubt)) => return doubt.into(),
        Err(_) => return too_slow(&format!("looking up {}", endpoint.host), limit).into(),
    };
    if !every_address {
        addresses.truncate(1);
    }
    ask_each(&endpoint, addresses, pointer, limit, now).await
}

/// Asks all addresses at the same time; each has the whole time for itself.
async fn ask_each(
    endpoint: &Endpoint,
    addresses: Vec<SocketAddr>,
    pointer: Option<&str>,
    limit: Duration,
    now: Timestamp,
) -> Findings {
    let answers = join_all(addresses.into_iter().map(|address| async move {
        let who = format!("{} at {address}", endpoint.describe());
        let answer = tokio::time::timeout(limit, endpoint.commit_at(address, pointer)).await;
        let answer = match answer {
            Ok(Ok(commit)) => Ok(commit),
            Ok(Err(why)) => Err(Doubt::new(format!("{who} {why}"))
                .fix("see what answers there, and correct `url` or `pointer` if they name something else")),
            Err(_) => Err(too_slow(&who, limit)),
        };
        (address, answer)
    }))
    .await;
    let mut findings = Findings::default();
    for (address, answer) in answers {
        match answer {
            Ok(commit) => findings.seen.push(Seen {
                instance: address.to_string(),
                commit,
                at: now,
            }),
            Err(doubt) => findings.doubts.push(doubt),
        }
    }
    findings
}

impl Endpoint {
    fn parse(url: &str) -> Result<Self, Doubt> {
        // The URL itself is not quoted: it may hold a password.
        let bad = |why: &str| Doubt::new(format!("the `url` of an http source {why}"));
        let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("must begin with http:// or https://")),
        };
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(bad("contains a user or password, which is not sent")
                .fix("let the endpoint answer without one, or use a `command` source"));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(bad("names no host"));
        }
        Ok(Self {
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            tls: secure.then(tls).transpose()?,
            host,
            uri,
        })
    }

    /// The URL without its query, which may hold a token.
    fn describe(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}{}", self.uri.path())
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Doubt> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| Doubt::new(format!("the host {} cannot be looked up: {error}", self.host)))?;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(Doubt::new(format!("the host {} has no address", self.host)));
        }
        Ok(addresses)
    }

    async fn commit_at(&self, address: SocketAddr, pointer: Option<&str>) -> Result<CommitId, String> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| format!("cannot be reached: {error}"))?;
        let body = match &self.tls {
            None => self.fetch(stream).await?,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())
                    .map_err(|_| "has a host name that no certificate can bear".to_owned())?;
                let stream = tls
                    .connect(name, stream)
                    .await
                    .map_err(|error| format!("refuses TLS: {error}"))?;
                self.fetch(stream).await?
            }
        };
        reading::one(&body, pointer)
    }

    async fn fetch(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<String, String> {
        let broken = |error: hyper::Error| format!("does not answer in HTTP: {error}");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // The set ends the connection's task with this function, however it ends.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, authority)
            .header(USER_AGENT, concat!("shipctl/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json, text/plain, */*")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("cannot be asked: {error}"))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_redirection() => {
                return Err(format!(
                    "redirects ({}), so that another host would answer for it",
                    status.as_u16()
                ));
            }
            status => return Err(format!("answers with status {}", status.as_u16())),
        }
        let body = Limited::new(response.into_body(), LONGEST)
            .collect()
            .await
            .map_err(|error| format!("sends a body that cannot be read (the limit is 64 KiB): {error}"))?;
        String::from_utf8(body.to_bytes().to_vec()).map_err(|_| "does not answer UTF-8 text".to_owned())
    }
}

/// TLS that trusts the system's authorities.
fn tls() -> Result<TlsConnector, Doubt> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Doubt::new(
            "this machine has no certificate authorities, so that no https endpoint can be trusted",
        )
        .fix("install the system's `ca-certificates`"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Doubt::new(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";
    const LIMIT: Duration = Duration::from_millis(400);

    /// Answers every request on an address with the same text, once it has seen the whole request; checks the request.
    async fn serve(listener: TcpListener, answer: Option<String>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut piece = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&piece[..read]),
                }
            }
            let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
            let expected = request.starts_with("get /version?x=1 ")
                && request.contains("\r\nhost: web.example:")
                && request.contains("\r\nconnection: close\r\n");
            match &answer {
                Some(answer) if expected => stream.write_all(answer.as_bytes()).await.unwrap(),
                Some(_) => stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n").await.unwrap(),
                // Says nothing, and keeps the connection open.
                None => std::mem::forget(stream),
            }
        }
    }

    fn ok(body: &str) -> Option<String> {
        Some(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Starts a server for each answer, on 127.0.0.1, 127.0.0.2 …, all on one port, and asks them all.
    async fn ask_servers(answers: Vec<Option<String>>, pointer: Option<&str>) -> Findings {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut addresses = Vec::new();
        let mut first = Some(first);
        for (n, answer) in answers.into_iter().enumerate() {
            let address: SocketAddr = format!("127.0.0.{}:{port}", n + 1).parse().unwrap();
            let listener = match first.take() {
                Some(listener) => listener,
                None => TcpListener::bind(address).await.unwrap(),
            };
            addresses.push(address);
            tokio::spawn(serve(listener, answer));
        }
        let endpoint = Endpoint::parse(&format!("http://web.example:{port}/version?x=1")).unwrap();
        ask_each(&endpoint, addresses, pointer, LIMIT, Timestamp::UNIX_EPOCH).await
    }

    #[tokio::test]
    async fn every_address_is_asked_under_the_original_host() {
        let other = ID.replace('0', "f");
        let found = ask_servers(vec![ok(ID), ok(&other), ok(ID)], None).await;
        let commits: Vec<&str> = found.seen.iter().map(|seen| seen.commit.as_str()).collect();
        assert_eq!(commits, [ID, &other, ID]);
        assert!(found.seen[1].instance.starts_with("127.0.0.2:"));
        assert!(found.doubts.is_empty(), "{:?}", found.doubts);
    }

    #[tokio::test]
    async fn what_one_address_fails_to_answer_is_a_doubt_beside_the_others() {
        let moved = Some("HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\n\r\n".to_owned());
        let down = Some("HTTP/1.1 503 No\r\ncontent-length: 40\r\n\r\n".to_owned() + ID);
        let long = ok(&"x".repeat(LONGEST + 1));
        let nonsense = Some("SSH-2.0-OpenSSH\r\n".to_owned());
        let begun = std::time::Instant::now();
        let found = ask_servers(vec![ok(ID), moved, None, down, long, nonsense], None).await;
        assert!(begun.elapsed() < LIMIT * 4);
        assert_eq!(found.seen.len(), 1);
        let whys: Vec<&str> = found.doubts.iter().map(|doubt| doubt.why.as_str()).collect();
        for (why, part) in whys
            .iter()
            .zip(["302", "did not answer within", "503", "64 KiB", "HTTP"])
        {
            assert!(why.contains(part), "{part}: {whys:?}");
        }
        assert_eq!(whys.len(), 5, "{whys:?}");
    }

    #[tokio::test]
    async fn an_answer_of_another_form_is_a_doubt() {
        let found = ask_servers(vec![ok("{\"sha\": \"abc1234\"}"), ok("[]"), ok(ID)], Some("/sha")).await;
        assert!(found.seen.is_empty());
        assert!(found.doubts[0].why.contains("abbreviated"), "{:?}", found.doubts);
        assert!(found.doubts[1].why.contains("nothing at"), "{:?}", found.doubts);
        assert!(found.doubts[2].why.contains("JSON"), "{:?}", found.doubts);
    }

    #[tokio::test]
    async fn nobody_there_is_a_doubt() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let found = ask(
            &format!("http://{address}/"),
            None,
            true,
            LIMIT,
            Timestamp::UNIX_EPOCH,
        )
        .await;
        assert!(
            found.doubts[0].why.contains("cannot be reached"),
            "{:?}",
            found.doubts
        );
        let found = ask(
            "http://no.such.host.invalid/",
            None,
            true,
            LIMIT,
            Timestamp::UNIX_EPOCH,
        )
        .await;
        assert!(
            found.doubts[0].why.contains("no.such.host.invalid"),
            "{:?}",
            found.doubts
        );
    }

    #[tokio::test]
    async fn passwords_and_tokens_in_urls_are_not_repeated() {
        for url in [
            "http://ada:hunter2@127.0.0.1:1/",
            "ftp://ada:hunter2@x/",
            "http://127.0.0.1:1/v?token=hunter2",
        ] {
            let found = ask(url, None, true, LIMIT, Timestamp::UNIX_EPOCH).await;
            let said = format!("{:?}", found.doubts);
            assert!(found.doubts.len() == 1 && !said.contains("hunter2"), "{said}");
        }
    }
}
