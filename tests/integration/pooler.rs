//! A pooler in transaction mode, as small as it can be: many clients, one server session.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Mutex;

use shipctl::domain::Exit;
use shipctl::postgres::{RunLock, Session};

use crate::support::{Database, cluster, fresh_database, settings};

/// A message with its type and length, as it goes over the wire; `None` at the end.
async fn message(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
    let mut whole = head.to_vec();
    whole.resize(1 + length, 0);
    stream.read_exact(&mut whole[5..]).await.ok()?;
    Some(whole)
}

/// A startup message, which has no type.
async fn startup(stream: &mut TcpStream) -> Option<()> {
    let length = stream.read_u32().await.ok()? as usize;
    let mut rest = vec![0; length - 4];
    stream.read_exact(&mut rest).await.ok()?;
    Some(())
}

async fn server(database: &Database) -> UnixStream {
    let path = cluster().folder().join(format!(".s.PGSQL.{}", cluster().port()));
    let mut stream = UnixStream::connect(path).await.unwrap();
    let parameters = format!("user\0postgres\0database\0{}\0\0", database.name);
    let mut hello = u32::try_from(parameters.len() + 8)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    hello.extend(196_608_u32.to_be_bytes());
    hello.extend(parameters.as_bytes());
    stream.write_all(&hello).await.unwrap();
    while message(&mut stream).await.unwrap()[0] != b'Z' {}
    stream
}

/// Serves one client: each transaction gets the server session to itself, and gives it back.
async fn serve(mut client: TcpStream, server: Arc<Mutex<UnixStream>>) -> Option<()> {
    startup(&mut client).await?;
    // AuthenticationOk and ReadyForQuery.
    client.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.ok()?;
    loop {
        let mut asked = message(&mut client).await?;
        let mut server = server.lock().await;
        loop {
            let kind = asked[0];
            if kind == b'X' {
                return Some(());
            }
            server.write_all(&asked).await.ok()?;
            if kind == b'S' || kind == b'Q' {
                let status = loop {
                    let answer = message(&mut *server).await?;
                    client.write_all(&answer).await.ok()?;
                    if answer[0] == b'Z' {
                        break answer[5];
                    }
                };
                if status == b'I' {
                    break;
                }
            }
            asked = message(&mut client).await?;
        }
    }
}

#[tokio::test]
async fn a_run_does_not_begin_through_a_transaction_pooler() {
    let database = fresh_database().await;
    let server = Arc::new(Mutex::new(server(&database).await));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, Arc::clone(&server)));
        }
    });
    let pooled = settings(&format!(
        "postgres://postgres@127.0.0.1:{port}/{}?sslmode=disable",
        database.name
    ))
    .unwrap();
    // Looking works; locking does not, and leaves no lock behind.
    Session::open(&pooled, "test").await.unwrap();
    let (environment, plan) = ("production".parse().unwrap(), "p".parse().unwrap());
    let problem = RunLock::acquire(&pooled, &environment, &plan).await.unwrap_err();
    assert_eq!((problem.code(), problem.exit()), ("database-pooled", Exit::Usage));
    RunLock::acquire(&database.settings, &environment, &plan)
        .await
        .unwrap();
}
