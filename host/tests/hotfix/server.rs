//! A server of static files as small as it can be, with the faults that servers have.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is wrong with the files whose names hold a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They are not there.
    Status(u32),
    /// The connection ends after so many bytes of an answer.
    Cut(usize),
    /// As many bytes, and other ones.
    Wrong,
    /// Nothing comes after the first byte.
    Stall,
    /// There are no parts of them, only all.
    NoRanges,
    /// There is no end of them.
    Endless,
    /// A page that says welcome.
    Page,
}

type Faults = Arc<Mutex<Vec<(String, Fault)>>>;

/// A running server. It ends with the test.
pub struct Server {
    pub url: String,
    pub folder: PathBuf,
    faults: Faults,
    served: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Server {
    pub fn new(folder: &Path) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let faults = Faults::default();
        let served = Arc::new(Mutex::new(Vec::new()));
        let (folder, own, seen) = (folder.to_owned(), faults.clone(), served.clone());
        let root = folder.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (root, faults, served) = (root.clone(), own.clone(), seen.clone());
                thread::spawn(move || answer(stream.unwrap(), &root, &faults, &served));
            }
        });
        Server {
            url,
            folder,
            faults,
            served,
        }
    }

    /// From now on these files have that fault.
    pub fn breaks(&self, part: &str, fault: Fault) {
        self.faults.lock().unwrap().push((part.to_owned(), fault));
    }

    /// Everything is as it should be again.
    pub fn heals(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// What was asked for since the last time, with the bytes that were sent of it.
    pub fn served(&self) -> Vec<(String, usize)> {
        std::mem::take(&mut self.served.lock().unwrap())
    }
}

fn answer(
    mut stream: TcpStream,
    folder: &Path,
    faults: &Faults,
    served: &Mutex<Vec<(String, usize)>>,
) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let mut from = 0;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap_or(0);
        }
    }
    let mut path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    // Asked as a proxy: the whole URL.
    if let Some((_, rest)) = path.clone().split_once("://") {
        path = format!("/by-proxy/{}", rest.split_once('/').unwrap_or_default().1);
    }
    let fault = faults
        .lock()
        .unwrap()
        .iter()
        .find(|(part, _)| path.contains(part.as_str()))
        .map(|(_, fault)| *fault);
    let log = |bytes: usize| served.lock().unwrap().push((path.clone(), bytes));
    let name = path.trim_start_matches('/').trim_start_matches("by-proxy/");
    let found = match fault {
        Some(Fault::Status(status)) => Err(status),
        Some(Fault::Page) => Ok(b"<html>Welcome</html>".to_vec()),
        _ => fs::read(folder.join(name)).map_err(|_| 404),
    };
    let mut bytes = match found {
        Ok(bytes) => bytes,
        Err(status) => {
            log(0);
            return write!(
                stream,
                "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    };
    if fault == Some(Fault::Wrong) {
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
    }
    let all = bytes.len();
    let start = match from {
        0 => "200 OK\r\n".to_owned(),
        _ if fault == Some(Fault::NoRanges) => "200 OK\r\n".to_owned(),
        from if from >= all => {
            log(0);
            return write!(
                stream,
                "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        from => {
            bytes.drain(..from);
            format!(
                "206 Part\r\nContent-Range: bytes {from}-{}/{all}\r\n",
                all - 1
            )
        }
    };
    if fault == Some(Fault::Endless) {
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        log(usize::MAX);
        loop {
            stream.write_all(&[b' '; 65536])?;
        }
    }
    write!(
        stream,
        "HTTP/1.1 {start}Content-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    )?;
    match fault {
        Some(Fault::Cut(after)) => bytes.truncate(after),
        Some(Fault::Stall) => bytes.truncate(1),
        _ => {}
    }
    log(bytes.len());
    stream.write_all(&bytes)?;
    if fault == Some(Fault::Stall) {
        thread::sleep(Duration::from_secs(30));
    }
    Ok(())
}
