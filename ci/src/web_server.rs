//! A folder behind HTTP, for guests: QEMU's network calls the machine that tests 10.0.2.2.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A server that runs until the program ends.
#[derive(Debug)]
pub struct WebServer {
    /// Where guests reach it.
    host: IpAddr,
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl WebServer {
    /// Serves the files below `folder` on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub fn start(folder: &Path) -> Result<WebServer> {
        let seen_by_guests = Ipv4Addr::new(10, 0, 2, 2);
        Self::start_on(folder, Ipv4Addr::LOCALHOST.into(), seen_by_guests.into())
    }

    /// Serves them on a free port of `address`, which guests call `host`.
    ///
    /// # Errors
    /// When there is none.
    pub fn start_on(folder: &Path, address: IpAddr, host: IpAddr) -> Result<WebServer> {
        let listener = TcpListener::bind((address, 0))
            .with_context(|| format!("{address} has no free port for a server"))?;
        let port = listener.local_addr()?.port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (folder, log) = (folder.to_path_buf(), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, log) = (folder.clone(), log.clone());
                // One that is cut off by a guest which restarts is the guest's affair.
                thread::spawn(move || answer(stream, &folder, &log));
            }
        });
        Ok(WebServer { host, port, asked })
    }

    /// The URL by which guests reach it.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }

    /// The paths that were asked for since the last time.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut asked)
    }
}

fn answer(mut stream: TcpStream, folder: &Path, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(path.to_string());
    match open(folder, path) {
        Some(mut file) => {
            let size = file.metadata()?.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
            )?;
            io::copy(&mut file, &mut stream).map(drop)
        }
        None => write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
    }
}

fn open(folder: &Path, path: &str) -> Option<File> {
    let below = PathBuf::from(path.trim_start_matches('/'));
    let plain = below
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let file = folder.join(below);
    (plain && file.is_file()).then(|| File::open(file).ok())?
}
