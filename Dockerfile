# Two ways to the same image: the last stage builds the binary here; `--target prebuilt` takes the file `ottla` of the context
# (scripts/build-image.sh). Base images can be replaced: --build-arg BUILDER=... --build-arg BASE=...
ARG BUILDER=rust:1.95-slim-bookworm
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS root
COPY image /image
RUN sh /image/rootfs.sh /rootfs

FROM scratch AS image
COPY --from=root /rootfs /
ENV PATH=/usr/local/bin:/usr/bin:/opt/kafka/bin \
    HOME=/home/ottla \
    OTTLA_ANNOUNCE=kafka \
    OTTLA_INIT_DIR=/etc/ottla/init.d
LABEL org.opencontainers.image.title="Ottla" \
      org.opencontainers.image.description="A message broker that speaks Kafka's protocol" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 1000:1000
WORKDIR /home/ottla
# Kafka's protocol for the host, and for other containers; HTTP, which these answer as well.
EXPOSE 9092 19092 9644
HEALTHCHECK --interval=2s --timeout=3s --retries=5 CMD ["health"]
STOPSIGNAL SIGTERM
# No VOLUME: an anonymous one would outlive most containers that are started for a test. Who wants to keep data mounts one.
ENTRYPOINT ["/entrypoint.sh"]
CMD ["start-ottla"]

FROM image AS prebuilt
COPY ottla /usr/local/bin/ottla

FROM ${BUILDER} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
# Tests and benchmarks are workspace members but are not part of the image: only their manifests are needed.
COPY tests/Cargo.toml tests/Cargo.toml
COPY tests/power-cut/Cargo.toml tests/power-cut/Cargo.toml
COPY bench/Cargo.toml bench/Cargo.toml
RUN mkdir -p tests/src tests/power-cut/src bench/src \
 && touch tests/src/lib.rs tests/power-cut/src/lib.rs \
 && echo 'fn main() {}' > bench/src/main.rs \
 && cargo build --release --locked -p ottla-cli \
 && strip -o /ottla target/release/ottla

FROM image
COPY --from=build /ottla /usr/local/bin/ottla
