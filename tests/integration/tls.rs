//! Encrypted connections: every `sslmode` against a server with a certificate of a private authority.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use shipctl::domain::{Exit, Problem};
use shipctl::postgres::{Cluster, Session};

use crate::support::{cluster, settings};

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Connects with these keywords added; whether the connection is encrypted.
async fn encrypted(server: &Cluster, keywords: &str) -> Result<bool, Problem> {
    let url = server.tcp_url("postgres");
    let password = url.split([':', '@']).nth(2).unwrap();
    let target = settings(&format!(
        "hostaddr=127.0.0.1 port={} user=postgres password={password} dbname=postgres {keywords}",
        server.port()
    ))?;
    let session = Session::open(&target, "test").await?;
    let row = session
        .client()
        .query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[])
        .await
        .unwrap();
    Ok(row.get(0))
}

#[tokio::test]
async fn every_sslmode_means_what_libpq_means_by_it() {
    let ours = authority("ours");
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["db.example".to_owned()])
        .unwrap()
        .signed_by(&key, &ours)
        .unwrap();
    let server = Cluster::builder()
        .throwaway()
        .file("server.crt", &certificate.pem())
        .file("server.key", &key.serialize_pem())
        .setting("ssl", "on")
        .start()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("ours.pem");
    std::fs::write(&roots, ours.pem()).unwrap();
    let others = folder.path().join("others.pem");
    std::fs::write(&others, authority("others").pem()).unwrap();
    let (roots, others) = (roots.display(), others.display());

    assert!(!encrypted(&server, "sslmode=disable").await.unwrap());
    assert!(!encrypted(&server, "sslmode=allow").await.unwrap());
    for keywords in [
        "",
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=require channel_binding=require",
        "sslmode=require ssl_min_protocol_version=TLSv1.3",
        &format!("sslmode=require host=other.example sslrootcert={roots}"),
        &format!("sslmode=verify-ca host=other.example sslrootcert={roots}"),
        &format!("sslmode=verify-full host=db.example sslrootcert={roots}"),
    ] {
        assert!(encrypted(&server, keywords).await.unwrap(), "{keywords}");
    }
    for keywords in [
        // As in libpq, a file of authorities turns `require` into `verify-ca`.
        format!("sslmode=require sslrootcert={others}"),
        format!("sslmode=verify-ca sslrootcert={others}"),
        format!("sslmode=verify-full host=other.example sslrootcert={roots}"),
        format!("sslmode=verify-full sslrootcert={roots}"),
        "sslmode=verify-full host=db.example".to_owned(),
    ] {
        let problem = encrypted(&server, &keywords).await.unwrap_err();
        assert_eq!(
            (problem.code(), problem.exit()),
            ("database-tls", Exit::Unknown),
            "{keywords}: {problem}"
        );
    }
    let missing = encrypted(&server, "sslmode=verify-full sslrootcert=/nonexistent/roots.pem")
        .await
        .unwrap_err();
    assert_eq!((missing.code(), missing.exit()), ("database-tls", Exit::Usage));
    assert!(missing.message().contains("/nonexistent/roots.pem"));
}

#[tokio::test]
async fn a_server_without_tls_serves_only_those_who_do_not_insist() {
    assert!(!encrypted(cluster(), "sslmode=prefer").await.unwrap());
    let problem = encrypted(cluster(), "sslmode=require").await.unwrap_err();
    assert_eq!((problem.code(), problem.exit()), ("database-tls", Exit::Unknown));
}
