//! nginx with the map that `plexus routes` prints.

use std::{fmt::Write, fs, path::Path};

/// Two servers on one map: the right one, and one whose upstreams are interchanged, so that every request reaches a process that does not serve it.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) right: u16,
    pub(crate) wrong: u16,
    /// The right one again, for other servers.
    pub(crate) tls: Option<u16>,
}

/// Where the processes of each role listen.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) readers: Vec<u16>,
    pub(crate) syncs: Vec<u16>,
    pub(crate) media: Vec<u16>,
}

/// Writes a configuration; the path comes back.
pub(crate) fn configure(folder: &Path, map: &str, ports: &Ports, members: &Members) -> std::path::PathBuf {
    let mut upstreams = String::new();
    let wanted = [
        ("plexus_client", &members.readers),
        ("plexus_media", &members.media),
        ("plexus_sync", &members.syncs),
        ("not_plexus_client", &members.syncs),
        ("not_plexus_media", &members.syncs),
        ("not_plexus_sync", &members.readers),
    ];
    for (name, members) in wanted {
        write!(upstreams, "upstream {name} {{ hash $plexus_pin consistent;").expect("a string takes everything");
        for port in members {
            write!(upstreams, " server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;")
                .expect("a string takes everything");
        }
        upstreams.push_str(" }\n");
    }
    let Ports { right, wrong, tls } = ports;
    let tls = tls.map_or_else(String::new, |port| {
        let certificate = format!("{0}/cert.pem; ssl_certificate_key {0}/key.pem;", folder.display());
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate} \
             location / {{ proxy_pass http://$plexus_upstream; }} }}\n"
        )
    });
    write(
        folder,
        &format!(
            "client_max_body_size 0;
proxy_http_version 1.1;
proxy_read_timeout 120s;
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-For $remote_addr;
{upstreams}{map}
server {{ listen 127.0.0.1:{right}; location / {{ proxy_pass http://$plexus_upstream; }} }}
server {{ listen 127.0.0.1:{wrong}; location / {{ proxy_pass http://not_$plexus_upstream; }} }}
{tls}"
        ),
    )
}

/// Writes a configuration around what goes into its `http` section; the path comes back.
pub(crate) fn write(folder: &Path, http: &str) -> std::path::PathBuf {
    let folder_name = folder.display();
    let text = format!(
        "daemon off;
master_process off;
{user}pid {folder_name}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
access_log off;
client_body_temp_path {folder_name}/nginx-body;
proxy_temp_path {folder_name}/nginx-proxy;
fastcgi_temp_path {folder_name}/nginx-fastcgi;
uwsgi_temp_path {folder_name}/nginx-uwsgi;
scgi_temp_path {folder_name}/nginx-scgi;
{http}}}
",
        // Workers as another user could not read the folder.
        user = if is_root() { "user root;\n" } else { "" },
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, text).expect("the folder can be written to");
    path
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
