# Sign the mail on standard input, for tests:
# perl sign.pl DOMAIN SELECTOR ALGORITHM METHOD HEADERS KEY [TAG VALUE]...
use strict;
use warnings;
use Mail::DKIM::PrivateKey;
use Mail::DKIM::Signature;
use Mail::DKIM::Signer;
use Mail::DKIM::TextWrap;

my ( $domain, $selector, $algorithm, $method, $headers, $key, %tags ) = @ARGV;
my $signature = Mail::DKIM::Signature->new(
    Domain    => $domain,
    Selector  => $selector,
    Algorithm => $algorithm,
    Method    => $method,
    Headers   => $headers,
    Key       => Mail::DKIM::PrivateKey->load( Data => $key ),
);
$signature->set_tag( $_, $tags{$_} ) for sort keys %tags;

binmode STDIN;
binmode STDOUT;
my $mail = do { local $/; <STDIN> };
my $signer = Mail::DKIM::Signer->new( Policy => sub { $_[0]->add_signature($signature); 0 } );
$signer->PRINT($mail);
$signer->CLOSE;
print $signature->as_string, "\015\012", $mail;
