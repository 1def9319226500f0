function __sluicectl_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __sluicectl_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __sluicectl_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __sluicectl_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __sluicectl_parse_tokens -S
    set -l unparsed_tokens (__sluicectl_tokens -pc)
    switch $unparsed_tokens[1]
    case 'sluicectl'
        __sluicectl_parse_subcommand 0 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'fetch'
            __sluicectl_parse_subcommand -r 2 'socket=' 'o/output=' 'H/header=+' 'high-watermark=' 'low-watermark=' 'deadline=' 'connect-timeout=' 'head-timeout=' 'silence-timeout=' 'min-speed=' 'max-size=' 'retries=' 'digest=' 'if-none-match=' 'etag-file=' 'identity' 'allow-downgrade' 'http1_1' 'accept-unverified' 'q/quiet' 'progress' 'json' 'verbose' 'version' 'h/help'
        case 'list'
            __sluicectl_parse_subcommand 0 'socket=' 'json' 'user=' 'state=+' 'limit=' 'version' 'h/help'
        case 'show'
            __sluicectl_parse_subcommand 1 'socket=' 'json' 'version' 'h/help'
        case 'watch'
            __sluicectl_parse_subcommand 1 'socket=' 'json' 'interval=' 'version' 'h/help'
        case 'wait'
            __sluicectl_parse_subcommand 1 'socket=' 'json' 'accept-unverified' 'version' 'h/help'
        case 'cancel'
            __sluicectl_parse_subcommand -r 1 'socket=' 'json' 'user=' 'all' 'version' 'h/help'
        case 'logs'
            __sluicectl_parse_subcommand 1 'socket=' 'f/follow' 'x/catalog' 'o/output=' 'n/lines=' 'unit=' 'user' 'version' 'h/help'
        case 'top'
            __sluicectl_parse_subcommand 0 'socket=' 'b/batch' 'n/iterations=' 'd/delay=' 'sort=' 'version' 'h/help'
        case 'status'
            __sluicectl_parse_subcommand 0 'socket=' 'json' 'version' 'h/help'
        case 'metrics'
            __sluicectl_parse_subcommand 0 'socket=' 'json' 'by-name' 'format=' 'o/output=' 'version' 'h/help'
        case 'drain'
            __sluicectl_parse_subcommand 0 'socket=' 'no-wait' 'version' 'h/help'
        case 'undrain'
            __sluicectl_parse_subcommand 0 'socket=' 'version' 'h/help'
        case 'help'
            __sluicectl_parse_subcommand -r 1 'version'
        end
    end
end

function __sluicectl_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __sluicectl_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __sluicectl_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __sluicectl_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__sluicectl_tokens -p)
    if test -z "$(__sluicectl_tokens -t)"
        set -l index (count (__sluicectl_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'sluicectl' -f
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'fetch' -d 'Fetch a URL: the body goes to standard output, a file or a command.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'list' -d 'List your jobs, the oldest first: running ones, and recent ended ones.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'show' -d 'Show everything that is known about a job.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'watch' -d 'Watch a job until it ends, or all of your jobs.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'wait' -d 'Wait for a job to end and report its outcome.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'cancel' -d 'End jobs, in whatever state they are.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'logs' -d 'Show the journal\'s entries about a job.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'top' -d 'Watch all of your jobs, live.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'status' -d 'Show the state of the service.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'metrics' -d 'Print the service\'s numbers for Prometheus.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'drain' -d 'Make the service finish its jobs and accept no new ones.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'undrain' -d 'Make the service accept new jobs again, after drain.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" o output' -s 'o' -l 'output' -d 'Write to FILE: under another name beside it, until the body is complete. - is standard output.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch"' -s 'H' -l 'header' -d 'Add a header to the request; may be repeated.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" high-watermark' -l 'high-watermark' -d 'Number of waiting bytes at which the gate closes: 262144, 256K, 1M.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" low-watermark' -l 'low-watermark' -d 'Number of waiting bytes at which it opens again.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" deadline timeout' -l 'deadline' -l 'timeout' -d 'Maximum time of the whole job; --timeout is the older name.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" connect-timeout' -l 'connect-timeout' -d 'Time until a connection is ready for the request, TLS included.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" head-timeout' -l 'head-timeout' -d 'Time from then on until the response begins, redirects included.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" silence-timeout' -l 'silence-timeout' -d 'Maximum silence of the origin.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" min-speed' -l 'min-speed' -d 'Minimum speed of the origin, in bytes per second over 30 s: 10K; 0 is no limit.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" max-size' -l 'max-size' -d 'Fail if the body is larger.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" retries' -l 'retries' -d 'How many failures in a row are tolerated, from 0 to 1000.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" digest' -l 'digest' -d 'What the body must have: sha256:HEX or sha512:HEX. The name alone: print it on standard error.' -rfka 'sha256 sha512'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" if-none-match' -l 'if-none-match' -d 'Deliver nothing, and exit with 17, if this version is current.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" etag-file' -l 'etag-file' -d 'The same with the version in FILE. The version of a complete body is stored there.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" identity' -l 'identity' -d 'Refuse a body with a content coding, such as gzip, instead of delivering it as sent.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" allow-downgrade' -l 'allow-downgrade' -d 'Follow redirects from https to http, too.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" http1.1' -l 'http1.1' -d 'Speak HTTP/1.1, for servers whose HTTP/2 is broken.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" accept-unverified' -l 'accept-unverified' -d 'Accept a body that ended with the connection, complete or not.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" q quiet' -l 'quiet' -s 'q' -d 'Print only errors.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" progress' -l 'progress' -d 'Show progress even if standard error is not a terminal.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" json' -l 'json' -d 'Print the ended job as a line of JSON on standard error instead of messages.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" verbose' -l 'verbose' -d 'Show the messages of a private service.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl fetch" -ge 1' -F
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl fetch" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl list" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl list" json' -l 'json' -d 'Print JSON, with the fields of io.sluice.Ingest.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl list" user' -l 'user' -d 'Only jobs of this user.' -rfka '(getent passwd | cut -d: -f1)'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl list"' -l 'state' -d 'Only jobs in this state.' -rfka 'queued connecting streaming stalled parked waiting complete failed cancelled'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl list" limit' -l 'limit' -d 'Maximum number of jobs.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl list" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl show" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl show" json' -l 'json' -d 'Print JSON, with the fields of io.sluice.Ingest.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl show" -eq 1' -fka '(__sluicectl_custom_completion ---completion show -- positional@0 (count (__sluicectl_tokens -pc)) (__sluicectl_tokens -tC))'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl show" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl watch" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl watch" json' -l 'json' -d 'Print JSON, with the fields of io.sluice.Ingest.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl watch" interval' -l 'interval' -d 'Minimum interval between two progress lines, from 0.1 to 3600.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl watch" -eq 1' -fka '(__sluicectl_custom_completion ---completion watch -- positional@0 (count (__sluicectl_tokens -pc)) (__sluicectl_tokens -tC))'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl watch" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl watch" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl wait" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl wait" json' -l 'json' -d 'Print JSON, with the fields of io.sluice.Ingest.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl wait" accept-unverified' -l 'accept-unverified' -d 'Exit with 0 even if the body ended with the connection and may be incomplete.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl wait" -eq 1' -fka '(__sluicectl_custom_completion ---completion wait -- positional@0 (count (__sluicectl_tokens -pc)) (__sluicectl_tokens -tC))'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl wait" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl wait" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl cancel" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl cancel" json' -l 'json' -d 'Print JSON, with the fields of io.sluice.Ingest.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl cancel" user' -l 'user' -d 'Only jobs of this user.' -rfka '(getent passwd | cut -d: -f1)'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl cancel" all' -l 'all' -d 'All jobs that have not ended.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl cancel" -ge 1' -fka '(__sluicectl_custom_completion ---completion cancel -- positional@0 (count (__sluicectl_tokens -pc)) (__sluicectl_tokens -tC))'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl cancel" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl cancel" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl logs" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl logs" f follow' -l 'follow' -s 'f' -d 'Continue with new entries until interrupted.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl logs" catalog x' -s 'x' -l 'catalog' -d 'Explain entries, and say what to do.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl logs" o output' -l 'output' -s 'o' -d 'How entries are shown: short, verbose, json, cat, … (journalctl -o).' -rfka 'short short-iso verbose json json-pretty cat'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl logs" lines n' -s 'n' -l 'lines' -d 'Number of latest entries.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl logs" unit' -l 'unit' -d 'The service\'s unit.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl logs" user' -l 'user' -d 'The unit is one of the user\'s own service manager.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_positional "sluicectl logs" -eq 1' -fka '(__sluicectl_custom_completion ---completion logs -- positional@0 (count (__sluicectl_tokens -pc)) (__sluicectl_tokens -tC))'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl logs" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl logs" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl top" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl top" b batch' -l 'batch' -s 'b' -d 'Print tables instead of taking the terminal over.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl top" iterations n' -s 'n' -l 'iterations' -d 'Number of samples after which to end.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl top" d delay' -l 'delay' -s 'd' -d 'Interval between two samples, from 0.1 to 3600.' -rfka ''
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl top" sort' -l 'sort' -d 'One of state, rate, bytes, age and stalled.' -rfka 'state rate bytes age stalled'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl top" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl top" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl status" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl status" json' -l 'json' -d 'Print JSON, with the fields of io.sluice.Ingest.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl status" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl status" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl metrics" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl metrics" json' -l 'json' -d 'Print JSON, with the fields of io.sluice.Ingest.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl metrics" by-name' -l 'by-name' -d 'Numbers for each user and host, too; for root, and the user that the service runs as.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl metrics" format' -l 'format' -d 'One of openmetrics and prometheus.' -rfka 'openmetrics prometheus'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl metrics" o output' -s 'o' -l 'output' -d 'Write to FILE instead of standard output.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl metrics" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl metrics" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl drain" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl drain" no-wait' -l 'no-wait' -d 'Return at once; the service continues to drain.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl drain" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl drain" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl undrain" socket' -l 'socket' -d 'The service\'s socket; else $SLUICE_SOCKET, else the system\'s, else the user\'s own.' -rF
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl undrain" version' -l 'version' -d 'Show the version.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl undrain" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluicectl' -n '__sluicectl_should_offer_completions_for_flags_or_options "sluicectl help" version' -l 'version' -d 'Show the version.'
