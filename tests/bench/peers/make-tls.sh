#!/bin/sh
# make-tls.sh DIR: a CA (DIR/ca.crt) and two SPIFFE identities signed by it, DIR/{echo,client}/{tls.crt,tls.key,ca.crt}.
set -eu
mkdir -p "$1" && cd "$1"
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -subj /O=mesh/CN=root -days 30 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out ca.crt 2>/dev/null
for name in echo client; do
  mkdir -p $name
  openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out $name/tls.key
  openssl req -new -key $name/tls.key -subj /O=mesh -out $name/csr
  printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=critical,URI:spiffe://cluster.local/ns/default/sa/%s\n' $name > $name/ext
  openssl x509 -req -in $name/csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile $name/ext -out $name/tls.crt 2>/dev/null
  cp ca.crt $name/; rm $name/csr $name/ext
done
