function __sluiced_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __sluiced_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __sluiced_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __sluiced_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __sluiced_parse_tokens -S
    set -l unparsed_tokens (__sluiced_tokens -pc)
    switch $unparsed_tokens[1]
    case 'sluiced'
        __sluiced_parse_subcommand 0 'config=' 'check-config=' 'print-config' 'socket=' 'lane=' 'private' 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'help'
            __sluiced_parse_subcommand -r 1 'version'
        end
    end
end

function __sluiced_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __sluiced_parse_subcommand -S -a positional_count
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

function __sluiced_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __sluiced_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__sluiced_tokens -p)
    if test -z "$(__sluiced_tokens -t)"
        set -l index (count (__sluiced_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'sluiced' -f
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" config' -l 'config' -d 'Read settings from FILE (sluiced.toml).' -rfa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'toml\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" check-config' -l 'check-config' -d 'Check FILE and its drop-ins, and exit.' -rfa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'toml\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" print-config' -l 'print-config' -d 'Print all effective settings with their sources, and exit.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" socket' -l 'socket' -d 'Listen on PATH. Overrides the settings. The default is /run/sluice/io.sluice.Ingest for root and $XDG_RUNTIME_DIR/sluice/io.sluice.Ingest for others.' -rF
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" lane' -l 'lane' -d 'Path of the lane\'s executable. The default is the installed one.' -rF
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" private' -l 'private' -d 'Serve one client alone: write a byte to descriptor 3 when ready, stop when it reaches its end.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" version' -l 'version' -d 'Show the version.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_positional "sluiced" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced help" version' -l 'version' -d 'Show the version.'
